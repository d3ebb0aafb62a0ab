//! Tests of the whole router, without a network.

mod dashboard;
mod documented;
mod fixture;
mod gauges;
mod guard;
mod login;
mod measured;
mod openai;
mod runs;
mod series;
mod stream;
mod walk;
