//! Batches: what was asked for, how far it is, what came of it; and a form that starts one.

pub mod add;
pub mod cancel;
mod first;
mod lines;
pub mod list;
pub mod one;
mod pace;
