//! Text from models: continuous batching on the CPU. A row has equal bits in any company.
//!
//! The logits of a token are a function of the model and of the tokens before it. They do not depend on other sequences,
//! the number of rows or threads, the pieces of a prompt, what the prefix cache holds, or the instruction set: every sum
//! has one order, see `kernels/tile.rs`, `kernels/bytes.rs` and `kernels/attention.rs`.
//!
//! Start reading at [`Engine::step`].

mod cache;
mod cpu;
mod engine;
mod kernels;
pub mod measure;
mod network;
mod sampling;

pub use cpu::{Instructions, IsaError};
pub use engine::{
    Engine, EngineError, EngineOptions, Event, Failure, Finished, PrefixCache, Reason, Refused, Request, Stats,
    StopCause,
};
pub use kernels::{Dtype, UnknownDtype};
pub use network::LoadError;
pub use sampling::{
    Format, Grammar, InvalidOption, Logprob, Logprobs, SamplingOptions, SchemaError, SchemaState, limits,
};
