//! JSON as far as an import reads it: the text of one field, whatever is around it.

mod field;
mod frame;
mod scan;
mod unescape;

#[cfg(test)]
mod tests;

pub use field::{Field, field};
pub use frame::{Frame, Framed};
pub use scan::Scan;
