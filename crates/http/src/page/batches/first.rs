//! Problems of a batch, or of a line of it, for people.

use super::super::parts::cut;
use stepwell_base::visible::visible_line;
use stepwell_store::LineError;

/// Characters of a message in a table.
const MOST: usize = 300;

/// A row without an answer.
pub struct Bad {
    /// `line 3`, or the row's own id.
    pub place: String,
    pub code: String,
    pub text: String,
}

/// A bad line that refused the whole batch.
pub fn told(error: &LineError) -> Bad {
    Bad {
        place: error.line.map_or_else(|| "whole file".to_owned(), |line| format!("line {line}")),
        code: visible_line(&error.code).into_owned(),
        text: short(&error.message),
    }
}

pub fn short(text: &str) -> String {
    cut(&visible_line(text), MOST)
}
