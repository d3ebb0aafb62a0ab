//! Tells other machines what happens, beside the engine: each receiver has a thread, and what it has is in the database.
//!
//! `courier` starts and ends the threads. `webhooks` sends events as signed messages.

mod bell;
mod courier;
mod webhooks;

pub(crate) use courier::{Courier, Heralded};
pub use webhooks::{Delivery, new_secret, redeliver, test};
