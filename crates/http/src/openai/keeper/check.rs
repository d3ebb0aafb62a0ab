//! Judges every line of an input before any compute, and names all bad ones.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use crate::openai::batches::{OnBadLine, on_bad_line};
use crate::problem::Problem;
use stepwell_batch::body::Endpoint;
use stepwell_batch::lines::{Limits, LineProblem, Rules, Scanner, Seen};
use stepwell_store::{BatchChecked, BatchRow, LineError};

/// Bad lines that are named; one more says how many there are.
const MOST_NAMED: usize = 1000;

#[derive(Clone, PartialEq, Debug)]
pub enum Checked {
    Good(BatchChecked),
    Bad { lines: u64, errors: Vec<LineError> },
}

/// # Errors
/// When the input cannot be read.
pub fn check(input: &Path, batch: &BatchRow, models: Vec<String>) -> Result<Checked, Problem> {
    let failed = |error: std::io::Error| Problem::internal("reading the input of a batch", &error);
    let rules = Rules { limits: Limits::OPENAI, endpoint: Endpoint::find(&batch.endpoint), models };
    let input = match File::open(input) {
        Ok(input) => input,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let errors = vec![of_file("file_not_found", "the content of the input file is gone")];
            return Ok(Checked::Bad { lines: 0, errors });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut scanner = Scanner::new(BufReader::new(input), &rules);
    let (mut errors, mut bad, mut model) = (Vec::new(), 0_u64, None);
    // A problem of the whole file, after which nothing more is read.
    let mut whole = None;
    while let Some(record) = scanner.next_record().map_err(failed)? {
        match record {
            Ok((_, Seen::Request(request))) => model = model.or(request.model),
            Ok((_, Seen::Bad(problem))) => {
                bad += 1;
                if errors.len() < MOST_NAMED {
                    errors.push(line_error(problem));
                }
            }
            Err(problem) => {
                whole = Some(line_error(problem));
                break;
            }
        }
    }
    let lines = scanner.records();
    if lines == 0 {
        whole = Some(of_file("empty_file", "the file has no requests"));
    }
    if let Some(problem) = whole {
        errors.insert(0, problem);
        return Ok(Checked::Bad { lines, errors });
    }
    // Without one good line, no model is known that could answer.
    let is_lenient = on_bad_line(batch) == OnBadLine::ErrorLine;
    if let Some(model) = model.filter(|_| bad == 0 || is_lenient) {
        return Ok(Checked::Good(BatchChecked { lines, model }));
    }
    if bad == 0 {
        errors.push(of_file("missing_required_parameter", "no line names a model"));
    }
    if bad > MOST_NAMED as u64 {
        let message = format!("{bad} lines are wrong; these are the first {MOST_NAMED}");
        errors.insert(0, of_file("too_many_errors", message));
    }
    Ok(Checked::Bad { lines, errors })
}

/// A problem of the whole file.
fn of_file(code: &str, message: impl Into<String>) -> LineError {
    LineError { code: code.to_owned(), message: message.into(), line: None, param: None }
}

fn line_error(LineProblem { line, error, .. }: LineProblem) -> LineError {
    LineError { code: error.code.as_str().to_owned(), message: error.message, line, param: error.param }
}
