//! Turns the errors of verbs into those of the server.

use crate::error::CliError;
use stepwell_http::DeskError;

pub(super) fn desk_error(error: CliError) -> DeskError {
    DeskError {
        code: error.kind.code(),
        message: error.message(),
        hint: (!error.hints.is_empty()).then(|| error.hints.join("; ")),
        problems: error.problems(),
    }
}
