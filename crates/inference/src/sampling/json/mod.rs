//! JSON as a state machine over bytes.

mod limits;
mod number;
mod object;
mod text;

pub use limits::{DEPTH, SPACE, is_space};
pub use number::Number;
pub use object::JsonState;
pub use text::{Text, TextStep, plain_characters};
