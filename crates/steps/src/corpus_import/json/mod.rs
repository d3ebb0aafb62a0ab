//! Reads JSON for an import: extracts one field and ignores the rest.

mod field;
mod frame;
mod scan;
mod unescape;

#[cfg(test)]
mod tests;

pub use field::{Field, field};
pub use frame::{Frame, Framed};
pub use scan::Scan;
