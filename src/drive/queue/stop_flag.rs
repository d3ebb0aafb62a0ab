//! Notices Ctrl-C and the other stop signals in a process that only watches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::{flag, low_level};

use crate::error::CliError;

/// Set by any stop signal until it is dropped.
pub struct StopFlag {
    raised: Arc<AtomicBool>,
    handlers: Vec<SigId>,
}

impl StopFlag {
    pub fn catch() -> Result<StopFlag, CliError> {
        let raised = Arc::new(AtomicBool::new(false));
        let handlers: io::Result<Vec<SigId>> =
            stepwell_engine::stop_signals().map(|signal| flag::register(signal, Arc::clone(&raised))).collect();
        let handlers = handlers.map_err(|error| CliError::internal("listen for signals", error))?;
        Ok(StopFlag { raised, handlers })
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}

impl Drop for StopFlag {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}
