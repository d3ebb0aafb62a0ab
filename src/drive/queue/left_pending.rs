//! Names the runs that a foreground engine leaves to others when it ends.

use crate::error::CliError;
use crate::session::Session;
use stepwell_store::{EngineLock, Reader};

/// Most runs that the message names.
const MOST_NAMED: usize = 5;

/// Says which submitted runs nobody drives now, and which command does; says nothing if another engine has started.
pub fn tell(session: &Session) -> Result<(), CliError> {
    let reader = session.reader()?;
    let (names, more) = pending(&reader)?;
    if names.is_empty() || EngineLock::holder(session.state_dir()).is_some() {
        return Ok(());
    }
    session.out.message(&text(&names, more));
    session.out.message(
        "hint: `stepwell worker --exit-when-idle` runs what is pending; a terminal that waits for a run drives it",
    );
    Ok(())
}

/// Names of the oldest pending runs, and the number of the others. Child runs belong to their parents.
fn pending(reader: &Reader) -> Result<(Vec<String>, usize), CliError> {
    let mut names = Vec::new();
    let pending = reader.pending_runs()?;
    for id in pending.iter().take(MOST_NAMED) {
        // `list` and `db check` tell about a damaged run.
        let Ok(run) = reader.run(*id) else { continue };
        if run.parent().is_none() {
            names.push(run.name);
        }
    }
    Ok((names, pending.len().saturating_sub(MOST_NAMED)))
}

fn text(names: &[String], more: usize) -> String {
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("still pending here: {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_long_queue_takes_one_line() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(text(&names, 0), "still pending here: a, b");
        assert_eq!(text(&names[..1], 995), "still pending here: a and 995 more");
    }
}
