//! What an evaluation finds.

mod judge;
mod ledger;
mod record;
mod report;
mod tally;

pub use judge::{check, judge};
pub use ledger::Ledger;
pub use record::{Record, score};
pub use report::{Report, TaskReport};
pub use tally::{Part, Sums, Tally};
