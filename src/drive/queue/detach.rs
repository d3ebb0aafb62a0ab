//! The flag `--detach`: who brings a run to its end.

use clap::Args;

use crate::drive::look_ahead::Starts;

#[derive(Args, Clone, Copy, Debug)]
pub struct Detach {
    /// Do not wait for the end: leave the run to the engine that is running, or to a later `stepwell worker`
    #[arg(long, short)]
    pub detach: bool,
}

/// Who brings a run to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drive {
    /// This process, which drives the run or waits for the engine that does.
    Foreground,
    /// Any engine, now or later.
    Detached,
}

impl Detach {
    pub fn drive(self) -> Drive {
        if self.detach { Drive::Detached } else { Drive::Foreground }
    }

    pub fn starts(self) -> Starts {
        if self.detach { Starts::Later } else { Starts::Here }
    }
}
