//! Byte-level BPE with GPT-2's pre-tokenizer. It gives the same ids as `tokenizers`, many times faster.

mod classes;
mod encoder;
mod form;
mod hash;
mod merges;
#[cfg(test)]
mod tests;
mod words;

pub use encoder::ByteBpe;
pub use form::{NotUnderstood, byte_char};
pub use hash::FastMap;
pub use words::{Words, is_left_to_library};
