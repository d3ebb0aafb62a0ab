//! The only place that imports burn.
