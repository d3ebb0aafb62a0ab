//! Tests of the whole command line.

#[cfg(feature = "train")]
mod documented;
#[cfg(feature = "train")]
mod readme;
#[cfg(feature = "train")]
mod reference;
mod step_kinds;
