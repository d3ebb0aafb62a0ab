//! Changes to the source of a template before it is compiled: what `transformers` has and our engine has not, and the
//! points at which a template is charged for its memory.

mod expression;
mod lexer;
mod source;

pub use expression::{COPIED, DICT, FACTOR, ITEMS, PRINTED};
pub use source::{LEARNED, rewrite};
