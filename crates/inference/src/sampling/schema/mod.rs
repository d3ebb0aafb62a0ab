//! Texts that meet a JSON schema, as a state machine over bytes.

mod compile;
mod grammar;
mod machine;
#[cfg(test)]
mod tests;

pub use compile::SchemaError;
pub use grammar::Grammar;
pub use machine::SchemaState;
