//! Tests of the whole router, without a network.

mod fixture;
mod guard;
mod login;
mod runs;
mod stream;
mod walk;
