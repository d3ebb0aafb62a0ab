//! Texts to tokens and back.

mod codec;
mod example;
mod marks;
mod spelling;
mod stream;

pub use codec::Tokenizer;
pub use example::Example;
pub use marks::{BREAK, LEARNED, Marks, unmarked};
pub use stream::TokenStream;
