//! What the kernel tells about processes and their memory.

mod memory_kills;
mod proc_files;
mod refused_memory;

pub use memory_kills::MemoryKills;
#[cfg(test)]
pub use memory_kills::pretend;
#[cfg(feature = "train")]
pub use proc_files::resident_bytes;
pub use proc_files::{TreeUsage, own_cpu_seconds, tree_usage};
pub use refused_memory::ended_without_memory;
