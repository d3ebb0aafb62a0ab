//! Events, and the words that they use.

mod alert;
mod cause;
mod record;
mod stored;
mod wait;

pub use alert::Alert;
pub use cause::{PauseCause, ReleaseCause};
pub use record::{Event, ProcessIdentity, Recorded, RunEvent, StepEvent, StepEventKind};
pub use wait::{Ruling, Verdict, Wait};
