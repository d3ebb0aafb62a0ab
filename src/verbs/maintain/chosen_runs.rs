//! The runs that the words of `rm` and `keep` choose: names, ids, and patterns such as `reg-*`.

use crate::error::CliError;
use crate::session::Session;
use stepwell_base::ids::RunId;
use stepwell_base::shell::quote;
use stepwell_run::status::RunStatus;
use stepwell_store::{Family, Reader, RunFilter, RunRow};

/// Most runs that a pattern is compared with, the newest ones.
const MOST_RUNS: usize = 100_000;
/// Most runs to name.
pub const MOST_NAMED: usize = 20;

/// Treatment of matching runs that are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    Chosen,
    Spared,
}

/// The runs that the selectors name, each once. What a pattern matches is said, because nobody has typed it.
///
/// # Errors
/// `NotFound` for a name or a pattern that no run has.
pub fn chosen(session: &Session, reader: &Reader, selectors: &[String], kept: Kept) -> Result<Vec<RunId>, CliError> {
    let mut runs: Vec<RunId> = Vec::new();
    for selector in selectors {
        let found = match selector.contains('*') {
            false => vec![reader.resolve_run(selector)?],
            true => {
                let matching = |run: &RunRow| matches(selector, &run.name);
                let rows = with_kept(session, reader, page(reader, Vec::new(), matching)?, kept)?;
                said(session, &rows, &format!("names that match {}", quote(selector)))?
            }
        };
        runs.extend(found.into_iter().filter(|run| !runs.contains(run)).collect::<Vec<_>>());
    }
    Ok(runs)
}

/// All failed runs that are not kept, which are said.
pub fn failed(session: &Session, reader: &Reader) -> Result<Vec<RunId>, CliError> {
    let rows = page(reader, vec![RunStatus::Failed], |_| true)?;
    said(session, &with_kept(session, reader, rows, Kept::Spared)?, "a failure")
}

/// Runs that no step started; child runs go with their parents.
fn page(reader: &Reader, statuses: Vec<RunStatus>, wanted: impl Fn(&RunRow) -> bool) -> Result<Vec<RunRow>, CliError> {
    let filter = RunFilter { statuses, family: Family::Top, ..RunFilter::default() };
    let rows = reader.run_page(&filter, None, MOST_RUNS)?.all()?;
    Ok(rows.into_iter().filter(wanted).collect())
}

fn with_kept(session: &Session, reader: &Reader, rows: Vec<RunRow>, kept: Kept) -> Result<Vec<RunRow>, CliError> {
    let mut chosen = Vec::new();
    for row in rows {
        if kept == Kept::Spared && reader.annotation(row.id)?.kept_at.is_some() {
            session.out.message(&format!("note: run {} is kept, so it stays", row.name));
        } else {
            chosen.push(row);
        }
    }
    Ok(chosen)
}

fn said(session: &Session, rows: &[RunRow], what: &str) -> Result<Vec<RunId>, CliError> {
    let names: Vec<&str> = rows.iter().take(MOST_NAMED).map(|row| row.name.as_str()).collect();
    let more = match rows.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match rows {
        [] => {
            return Err(
                CliError::not_found(format!("there are no runs with {what}")).hint("`stepwell list` shows the runs")
            );
        }
        [one] => session.out.message(&format!("1 run with {what}: {}", one.name)),
        many => session.out.message(&format!("{} runs with {what}: {}{more}", many.len(), names.join(", "))),
    }
    Ok(rows.iter().map(|row| row.id).collect())
}

/// True if the name is the pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [("reg-*", "reg-1"), ("*", "x"), ("*-1", "reg-1"), ("r*-*1", "reg-11"), ("a*", "a")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("reg-*", "areg-1"), ("*-1", "reg-12"), ("ab*ba", "aba"), ("reg", "reg-1")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
