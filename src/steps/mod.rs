//! Step kinds: what runs, one file per kind.

mod handler;

pub use handler::{Reporter, StepContext, StepError, StepHandler, arguments};
