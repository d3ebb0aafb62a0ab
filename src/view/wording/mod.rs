//! Words, numbers and names in text for people.

pub mod annotation;
pub mod event_text;
pub mod extent;
pub mod intervals;
pub mod origin;
pub mod value_text;
pub mod words;
