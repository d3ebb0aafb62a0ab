//! Requests of other processes: each writes a row to the database and wakes the engine.

mod ask;
mod cancel;
mod clean_up;
pub(crate) mod wake;

pub use ask::{Asked, ask};
pub use cancel::{Canceled, cancel};
pub use clean_up::clean_up;
pub use wake::wake;
