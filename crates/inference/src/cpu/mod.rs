//! The processor: its instruction sets, its threads, and vector code with the same bits on each of them.

mod integers;
mod isa;
mod maths;
mod team;
mod vector;

#[cfg(target_arch = "x86_64")]
pub use integers::{Bytes512, Words256, Words512};
pub use integers::{Dot, Plain};
pub(crate) use isa::kernel;
pub use isa::{Instructions, IsaError, Kernel};
pub use maths::{LANES, exp, sum_lanes};
pub use team::team;
#[cfg(target_arch = "x86_64")]
pub use vector::{Avx2, Avx512};
pub use vector::{Base, Vector};
