//! The threads and instructions that kernels use.

use stepwell_thread_team::Team;

use crate::cpu::{self, Instructions, Vector};

/// Threads and instructions of one engine. They change no bit of a result.
#[derive(Clone, Copy)]
pub struct Workers {
    team: &'static Team,
    instructions: Instructions,
}

impl Workers {
    pub fn new(threads: usize, instructions: Instructions) -> Self {
        Workers { team: cpu::team(threads.max(1)), instructions }
    }

    pub fn team(&self) -> &'static Team {
        self.team
    }

    pub fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Lanes of a vector.
    pub fn lanes(&self) -> usize {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni | Instructions::Avx512 => cpu::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => cpu::Avx2::LANES,
            Instructions::Base => cpu::Base::LANES,
        }
    }
}
