//! The rows of the file: where each line is, its key, and where its answer is. Bodies stay in the file.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Map, Value};

use super::durable::Entry;
use stepwell_base::failure::Failure;
use stepwell_base::ordered_json::Json;
use stepwell_batch::body::{Body, Endpoint};
use stepwell_batch::key::{Identity, RowKey, seed_of};
use stepwell_batch::lines::{LineProblem, OnBadLine, Place, Request, Rules, Scanner, Seen, parse_line};
use stepwell_batch::{Code, RowError};

/// Most bad lines that are kept; a file with more is no batch.
const MOST_BAD: usize = 10_000;
/// Most bad lines that a message names.
const MOST_NAMED: usize = 20;

/// One record of the file.
pub(super) struct Row {
    pub place: Place,
    pub key: RowKey,
    /// Its answer, once there is one.
    pub entry: Option<Entry>,
}

/// A line as the model needs it.
pub(super) struct Loaded {
    pub custom_id: String,
    pub endpoint: Endpoint,
    pub model: String,
    pub body: Map<String, Value>,
    ordered: Option<Json>,
}

impl Loaded {
    /// The seed of a row that names none.
    pub(super) fn seed(&self) -> u64 {
        seed_of(&self.custom_id, &self.body)
    }

    pub(super) fn request(&self) -> Result<Body, RowError> {
        let body = Body::parse(self.endpoint, self.body.clone())?.in_order(self.ordered.clone());
        if body.options.stream {
            let message = "`stream` is not supported in a batch";
            return Err(RowError::about("stream", Code::UnsupportedParameter, message));
        }
        Ok(body)
    }
}

pub(super) struct Table {
    file: File,
    limit: u64,
    /// In the order of the file.
    pub rows: Vec<Row>,
    /// Lines that are no requests, in the same order.
    pub bad: Vec<LineProblem>,
    /// BLAKE3 of the file.
    pub digest: String,
}

impl Table {
    /// Reads the whole file once.
    ///
    /// # Errors
    /// When it cannot be read, has too many lines or bytes, has no request, or has a bad line that must not be there.
    pub(super) fn read(
        path: &Path,
        rules: &Rules,
        on_bad_line: OnBadLine,
        identity: &Identity,
    ) -> Result<Table, Failure> {
        let unreadable = |error: io::Error| Failure::io(format!("cannot read `{}`", path.display()), &error);
        let file = File::open(path).map_err(unreadable)?;
        let input = BufReader::with_capacity(1 << 18, file.try_clone().map_err(unreadable)?);
        let mut scanner = Scanner::new(input, rules);
        let (mut rows, mut bad) = (Vec::new(), Vec::new());
        while let Some(record) = scanner.next_record().map_err(unreadable)? {
            match record {
                Ok((place, Seen::Request(request))) => {
                    rows.push(Row { place, key: key(identity, &request), entry: None });
                }
                Ok((_, Seen::Bad(problem))) => bad.push(problem),
                Err(problem) => return Err(Failure::fatal(format!("`{}`: {}", path.display(), problem.error))),
            }
            if bad.len() > MOST_BAD {
                return Err(bad_lines(path, &bad, "more than ").with_hint("is it a file of batch requests?"));
            }
        }
        if !bad.is_empty() && on_bad_line == OnBadLine::Fail {
            return Err(bad_lines(path, &bad, "")
                .with_hint("nothing was computed; `on_bad_line = \"error_line\"` answers the other lines"));
        }
        if rows.is_empty() && bad.is_empty() {
            let message = format!("`{}` has no requests", path.display());
            return Err(
                Failure::fatal(message).with_hint("write one JSON object per line: custom_id, method, url, body")
            );
        }
        let digest = scanner.digest().to_hex().to_string();
        Ok(Table { file, limit: rules.limits.line_bytes, rows, bad, digest })
    }

    /// Number of records, good and bad.
    pub(super) fn total(&self) -> u64 {
        (self.rows.len() + self.bad.len()) as u64
    }

    /// Reads the line of a row again.
    ///
    /// # Errors
    /// When it is not what it was when the batch started.
    pub(super) fn load(&self, row: &Row) -> Result<Loaded, Failure> {
        let Place { line, offset, bytes, .. } = row.place;
        let mut text = vec![0; bytes as usize];
        let read = self.file.read_exact_at(&mut text, offset);
        read.map_err(|error| Failure::io(format!("cannot read line {line} of the requests"), &error))?;
        let parsed = row.place.is(&text).then(|| parse_line(&text, self.limit).ok()).flatten();
        let Some(Request { custom_id, endpoint, model, body, ordered }) = parsed else {
            let message = format!("line {line} of the requests has changed since the batch started");
            return Err(
                Failure::fatal(message).with_hint("a batch reads its file until it ends; keep the file, or copy it")
            );
        };
        Ok(Loaded { custom_id, endpoint, model: model.unwrap_or_default(), body, ordered })
    }
}

/// The key of a row. One that draws samples has a seed: its own, which is in the body, or one that is derived.
fn key(identity: &Identity, request: &Request) -> RowKey {
    let Request { custom_id, endpoint, body, ordered, .. } = request;
    let number = |name: &str| body.get(name).and_then(Value::as_f64);
    let draws = number("temperature") != Some(0.0) && number("seed").is_none();
    RowKey::of_ordered(identity, *endpoint, (body, ordered.as_ref()), draws.then(|| seed_of(custom_id, body)))
}

fn bad_lines(path: &Path, bad: &[LineProblem], more: &str) -> Failure {
    let mut message = format!("{more}{} bad lines in `{}`:", bad.len(), path.display());
    if bad.len() == 1 && more.is_empty() {
        message = format!("a bad line in `{}`:", path.display());
    }
    for LineProblem { line, error, .. } in bad.iter().take(MOST_NAMED) {
        message.push_str(&format!("\nline {}: {error}", line.unwrap_or(0)));
    }
    if bad.len() > MOST_NAMED {
        message.push_str(&format!("\nand {} more", bad.len() - MOST_NAMED));
    }
    Failure::fatal(message)
}
