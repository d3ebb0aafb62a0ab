//! Listens, and serves connections within limits.

mod connection;
mod options;
mod server;
mod tls;
mod validity;

pub use options::{Options, Tls};
#[cfg(test)]
pub use server::app;
pub use server::{ServeError, Server};
