//! Several processes and one engine: who drives a run, who watches it, and what is left pending.

pub mod follow;
pub mod left_pending;
mod stop_flag;
pub mod task;
