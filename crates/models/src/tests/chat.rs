//! Rendered texts against those of `transformers`, see scripts/golden/make_chat.py.
