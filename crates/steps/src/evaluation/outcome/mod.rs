//! What an evaluation finds.

mod judge;
mod ledger;
mod record;
mod report;
mod tally;

pub use judge::{check, judge, score_counts};
pub use ledger::Ledger;
pub use record::{Record, score};
pub use report::{Numbers, Report, TaskReport};
pub use tally::{Metric, Part, Sums, Tally};
