//! Tests the whole step.

mod across;
mod basics;
mod report;
mod resume;
