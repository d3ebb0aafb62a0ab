//! Those who rent machines out: three companies over HTTP, and programs of one's own.

mod command;
mod field;
mod http;
mod lambda;
mod runpod;
#[cfg(test)]
mod tests;
mod vast;

pub use command::CommandProvider;
pub use http::{Access, Http};
pub use lambda::Lambda;
pub use runpod::RunPod;
pub use vast::Vast;
