//! Batches: created under an id that is made of what they ask for, listed, shown, cancelled.

mod cancel;
mod create;
mod form;
mod list;
mod new;
mod routes;
mod run;
mod situation;
mod start;

pub use cancel::ask_to_cancel;
pub use create::store;
pub use form::{counts, status};
pub use new::NewBatch;
pub use routes::routes;
pub use run::{BatchRun, Fill, OnBadLine, lenient, on_bad_line};
pub use situation::{RunSeen, Situation, find};
