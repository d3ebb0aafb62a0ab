//! `GET /runs/{run}/logs`: the log of one attempt, and a search in it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use askama::Template;
use serde::Deserialize;

use super::super::parts::{Badge, Frame, Shown, bytes, command, handle};
use super::super::runs::encoded;
use super::head::{Around, Head, Tab, ViewOfRun};
use super::steps::name;
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use stepwell_base::excerpt::plain_line;
use stepwell_base::ids::StepId;
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, StepFilter, StepRow, attempt_log};

/// Steps to choose from.
const MOST_STEPS: usize = 100;
/// Lines that a search shows, and bytes that it reads.
const MOST_FOUND: usize = 500;
const MOST_SEARCHED: u64 = 256 << 20;
const LONGEST_LINE: u64 = 64 << 10;
const SHOWN_CHARACTERS: usize = 2000;
const LONGEST_SEARCH: usize = 200;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/logs", Access::READ, logs, Doc::new("page", "Shows the log of an attempt"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    step: String,
    attempt: Option<u32>,
    q: String,
}

#[derive(Template)]
#[template(path = "logs.html")]
struct Logs {
    frame: Frame,
    head: Head,
    steps: Vec<Choice>,
    log: Option<Log>,
    q: String,
    found: Option<Found>,
}

struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

struct Log {
    step: String,
    state: Badge,
    attempt: u32,
    attempts: Vec<u32>,
    /// The address of its bytes.
    source: String,
    size: u64,
    size_text: String,
    is_ended: bool,
    command: String,
}

struct Found {
    lines: Vec<Line>,
    summary: String,
}

struct Line {
    number: u64,
    text: String,
}

async fn logs(view: ViewOfRun, QueryOf(query): QueryOf<Query>) -> Shown {
    view.show(Tab::Logs, move |reader, around, head| page(reader, around, head, &query)).await
}

fn page(reader: &Reader, around: &Around, head: Head, query: &Query) -> Result<Logs, Problem> {
    let id = around.id;
    if query.q.len() > LONGEST_SEARCH {
        return Err(Problem::usage(format!("a text to search for has at most {LONGEST_SEARCH} bytes")));
    }
    let mut steps = reader.step_page(id, &StepFilter::default(), None, MOST_STEPS)?.steps;
    steps.retain(|step| step.attempts > 0);
    let step = match query.step.is_empty() {
        true => steps.first().cloned(),
        false => Some(reader.step(id, &reader.resolve_step(id, &query.step)?)?),
    };
    if let Some(step) = &step
        && steps.iter().all(|known| known.id != step.id)
    {
        steps.insert(0, step.clone());
    }
    let (mut log, mut found) = (None, None);
    if let Some(step) = step.as_ref().filter(|step| step.attempts > 0) {
        let attempt = query.attempt.filter(|attempt| (1..=step.attempts).contains(attempt)).unwrap_or(step.attempts);
        let path = attempt_log(reader.state_dir(), id, &step.id, attempt);
        if !query.q.is_empty() {
            found = Some(search(&path, &query.q));
        }
        let handle = handle(reader, &reader.run(id)?);
        log = Some(of_attempt(&head, step, attempt, &path, command("logs", [&*handle, step.id.as_str()])));
    }
    let chosen = step.map(|step| step.id);
    let attempt = query.attempt.map(|attempt| format!("&attempt={attempt}")).unwrap_or_default();
    let url = format!("/runs/{id}/logs?step={}&q={}{attempt}", encoded(&query.step), encoded(&query.q));
    Ok(Logs {
        frame: around.frame(url),
        steps: steps.iter().map(|step| choice(step, chosen.as_ref())).collect(),
        head,
        log,
        q: query.q.clone(),
        found,
    })
}

fn choice(step: &StepRow, chosen: Option<&StepId>) -> Choice {
    let state = if step.status == StepStatus::Failed { ", failed" } else { "" };
    Choice { value: step.id.to_string(), text: format!("{}{state}", name(step)), is_chosen: Some(&step.id) == chosen }
}

fn of_attempt(head: &Head, step: &StepRow, attempt: u32, path: &Path, command: String) -> Log {
    let size = path.metadata().map_or(0, |file| file.len());
    Log {
        step: step.id.to_string(),
        state: Badge::of_step(step, head.status),
        attempt,
        attempts: (1..=step.attempts).rev().take(100).collect(),
        source: format!("/api/v1/runs/{}/steps/{}/attempts/{attempt}/log", head.id, encoded(step.id.as_str())),
        size,
        size_text: bytes(size),
        is_ended: attempt < step.attempts || step.status != StepStatus::Running,
        command,
    }
}

/// Lines that have a text, in any case. Reads line by line, so that a long log costs no memory.
fn search(path: &Path, text: &str) -> Found {
    let mut lines = Vec::new();
    let wanted = text.to_lowercase();
    let (mut number, mut read, mut more) = (0, 0, 0);
    let Ok(file) = File::open(path) else {
        return Found { lines, summary: "The log is not there.".to_owned() };
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while read < MOST_SEARCHED {
        line.clear();
        let Ok(count) = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) else { break };
        if count == 0 {
            break;
        }
        read += count as u64;
        let is_whole = line.ends_with(b"\n");
        number += 1;
        let shown = plain_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        if !shown.to_lowercase().contains(&wanted) {
            continue;
        }
        if lines.len() < MOST_FOUND {
            lines.push(Line { number, text: shown.chars().take(SHOWN_CHARACTERS).collect() });
        } else {
            more += 1;
        }
        if !is_whole {
            number -= 1;
        }
    }
    let count = lines.len() + more;
    let mut summary = match count {
        0 => "No line has this text.".to_owned(),
        1 => "1 line".to_owned(),
        _ => format!("{count} lines"),
    };
    if more > 0 {
        summary.push_str(&format!(", the first {MOST_FOUND} are shown"));
    }
    if read >= MOST_SEARCHED {
        summary.push_str("; the end of the log was not searched");
    }
    Found { lines, summary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_in_any_case_with_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one\nan Error <b>\n\x1b[31merror\x1b[0m two\n\nend").unwrap();
        let found = search(&path, "ERROR");
        let lines: Vec<(u64, &str)> = found.lines.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(lines, [(2, "an Error <b>"), (3, "error two")]);
        assert_eq!(found.summary, "2 lines");
        assert_eq!(search(&path, "none").summary, "No line has this text.");
        assert_eq!(search(&folder.path().join("x"), "none").summary, "The log is not there.");
    }

    #[test]
    fn a_search_shows_a_bounded_number_of_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "x\n".repeat(MOST_FOUND + 3)).unwrap();
        let found = search(&path, "x");
        assert_eq!((found.lines.len(), found.summary.as_str()), (500, "503 lines, the first 500 are shown"));
    }
}
