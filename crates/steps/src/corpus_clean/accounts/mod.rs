//! What happens to documents: reasons to drop them, counts and samples, and the report made from them.

mod counts;
mod reason;
mod report;

pub use counts::Accounts;
pub use reason::Reason;
pub use report::{Sample, replaced};
