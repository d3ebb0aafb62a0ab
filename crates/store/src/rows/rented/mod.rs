//! Rows of rented machines.

mod machine;

pub use machine::{MachineEventRow, MachineRow, NewMachine};
