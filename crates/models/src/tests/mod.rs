//! Tests that read whole models or compare with other implementations.

mod chat;
mod folders;
mod rope;
