//! Models from elsewhere: their files, shapes, tokenizers and chat templates.
