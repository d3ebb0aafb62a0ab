//! Tests of the whole command line.

#[cfg(feature = "train")]
mod documented;
pub mod lab;
#[cfg(feature = "train")]
mod readme;
#[cfg(feature = "train")]
mod reference;
mod step_kinds;
