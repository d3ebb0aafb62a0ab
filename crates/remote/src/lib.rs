//! Rented machines: never left behind, never launched twice, never terminated unasked.
//!
//! `machine` is the pure state machine of one machine's life, `plan` is what a person consents to. `keeper` moves a machine along:
//! it records the intent, calls the provider, and records the answer. `providers` speak to those who rent machines out, `mock`
//! is one that fails on purpose, `shell` and `files` reach into a machine. Start reading at [`Machine`] and [`Keeper`];
//! `specs/remote.md` has the rules.

mod clock;
mod consent;
mod error;
mod event;
mod files;
mod keeper;
mod machine;
pub mod mock;
mod money;
mod plan;
mod preflight;
mod probe;
mod provider;
mod provider_error;
pub mod providers;
mod shell;

pub use clock::{Clock, SystemClock};
pub use consent::{Action, Proposal};
pub use error::{RemoteError, ShellError};
pub use event::{Alert, Event};
pub use files::{RemoteFile, is_inside, list_files, pull, push, unsynced, upload};
pub use keeper::{Journal, JournalError, Keeper, Limits, Look, MachineLock, orphans};
pub use machine::{GoneWhy, IllegalEvent, Machine, State};
pub use money::{Cents, Price};
pub use plan::{Key, PREFIX, Plan, Preflight, SyncList, Upload};
pub use preflight::preflight;
pub use probe::{IdleLimits, Probe, probe};
pub use provider::{Address, Instance, InstanceId, LaunchRequest, Phase, Provider, Status, Timed, Wanted};
pub use provider_error::ProviderError;
pub use shell::{Shell, WORK_DIR, start_command};
