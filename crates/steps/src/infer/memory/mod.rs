//! Memory of an engine: how much it may have for keys and values, and what happens when the system refuses it.

mod start;

pub(crate) use start::{Memory, start};
