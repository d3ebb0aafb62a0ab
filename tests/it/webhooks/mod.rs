//! Events reach receivers outside, signed and under one id, whatever dies.

mod basics;
mod kills;
mod receiver;
mod sha256;
#[cfg(feature = "otel")]
mod traces;
