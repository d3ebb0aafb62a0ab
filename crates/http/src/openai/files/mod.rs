//! Files of clients: content under its SHA-256, stored by the artifact store.

mod content;
mod expiry;
mod form;
mod list;
mod one;
mod places;
mod receive;
mod routes;
mod upload;

pub use expiry::{OutputExpiry, after as output_expires_at, remove_expired};
pub use one::{RESULTS, find};
pub use places::Uploads;
pub use receive::store_bytes;
pub use routes::{LARGEST_FORM, routes};
pub use upload::{content_of, in_time, text_of};
