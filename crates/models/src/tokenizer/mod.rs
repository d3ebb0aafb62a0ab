//! Texts to tokens and back.

mod codec;
mod marks;
mod spelling;
mod stream;

pub use codec::Tokenizer;
pub use marks::{BREAK, Marks, unmarked};
pub use stream::TokenStream;
