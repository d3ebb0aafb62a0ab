//! Sources on servers: HTTP and HTTPS addresses, and datasets of the Hugging Face hub by its HTTP protocol.

mod address;
mod client;
mod digests;
mod download;
mod fetch;
mod hub;
mod partial;
mod place;
mod url;

#[cfg(test)]
mod tests;

pub use address::Reach;
pub use fetch::{Access, Fetched, endpoint, fetch};
pub use place::{Place, Token};
