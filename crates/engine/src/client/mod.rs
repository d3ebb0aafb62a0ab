//! What other processes do: they leave a request in the database and wake the engine.

mod ask;
mod cancel;
pub(crate) mod wake;

pub use ask::{Asked, ask};
pub use cancel::{Canceled, cancel};
pub use wake::wake;
