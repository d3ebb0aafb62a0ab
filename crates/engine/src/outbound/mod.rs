//! Tells other machines what happens, beside the engine: each receiver has a thread, and what it has is in the database.
//!
//! `courier` starts and ends the threads. `webhooks` sends events as signed messages, `telemetry` sends traces.

mod bell;
mod courier;
#[cfg(feature = "otel")]
mod telemetry;
mod webhooks;

pub(crate) use courier::{Courier, Heralded};
pub use webhooks::{Delivery, new_secret, redeliver, test};
