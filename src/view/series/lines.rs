//! Rows as lines of JSON, and as a few words.

use std::ops::ControlFlow;

use super::forms::json_line;
use super::table::rank;
use crate::error::CliError;
use crate::session::Session;
use crate::view::curve::number;
use crate::view::output::Printed;
use stepwell_base::ids::RunId;
use stepwell_base::protocol::Measurement;

/// Prints all rows of a run that has ended, for scripts.
pub fn metric_lines(session: &Session, run: RunId) -> Result<(), CliError> {
    if !session.out.is_json() {
        return Ok(());
    }
    let reader = session.reader()?;
    for step in reader.series_steps(run, None)? {
        let mut printed = Ok(Printed::Written);
        reader.each_measurement((run, &step.id), None, None, |row| {
            printed = session.out.json_line(&json_line(run, &step.id, &row));
            if matches!(printed, Ok(Printed::Written)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if printed? == Printed::ReaderGone {
            break;
        }
    }
    Ok(())
}

/// The most telling number of a row, such as `loss 2.3125`; empty for a row without numbers.
pub fn headline(row: &Measurement) -> String {
    let first = row.values.iter().min_by_key(|(name, _)| rank(name));
    first.map(|(name, value)| format!("{name} {}", number(*value))).unwrap_or_default()
}
