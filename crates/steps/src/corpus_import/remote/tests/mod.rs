//! Tests sources on servers against a server of this process, which misbehaves as told.

mod hub;
mod parse;
mod server;
mod transfer;
