//! Workflows that start by the clock: the list, and what a person does with them.

pub mod add;
pub mod change;
pub mod list;
