//! Several processes and one engine: who drives a run, who watches it, and what is left pending.

pub mod ask;
pub mod continue_run;
pub mod detach;
pub mod driver;
pub mod follow;
pub mod left_pending;
pub mod stop_flag;
pub mod task;
