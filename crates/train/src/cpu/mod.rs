//! The processor: its threads, its instruction sets, and vector code that gives the same bits on each of them.

#[cfg(target_arch = "x86_64")]
mod amx;
pub(crate) mod isa;
pub(crate) mod simd;
pub(crate) mod thread_team;
