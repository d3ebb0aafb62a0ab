//! Sends events to receivers outside this machine, signed as Standard Webhooks says (standardwebhooks.com).
//!
//! Nothing is lost and nothing is sent under a second id: `follow` turns events of the log into messages in the database, in
//! the transaction that moves the receiver's cursor, and the id of a message follows from its event. `receiver` sends them,
//! one thread for each receiver, and notes every attempt.

mod backoff;
mod base64;
mod follow;
mod messages;
mod once;
mod receiver;
mod send;
mod signature;

pub(super) use messages::concerns;
pub use once::{Delivery, redeliver, test};
pub(super) use receiver::Receiver;
pub use signature::new_secret;
