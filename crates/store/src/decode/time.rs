//! Times in the database.

use jiff::Timestamp;

/// RFC 3339 in UTC with milliseconds, so that times sort as text.
pub(crate) fn time_text(at: Timestamp) -> String {
    format!("{at:.3}")
}
