//! The engine: requests in, tokens out, one step at a time.

mod choices;
mod error;
mod event;
mod options;
mod request;
mod schedule;
mod sequence;
mod step;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;

pub use error::{EngineError, Refused};
pub use event::{Event, Failure, Finished, Reason, StopCause};
pub use options::{EngineOptions, PrefixCache};
pub use request::Request;
pub use step::{Engine, Stats};
