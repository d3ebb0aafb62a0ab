//! Data from servers, cleaned: killed in the middle, resumed, and compared.

mod downloads;
mod server;
