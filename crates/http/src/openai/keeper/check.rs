//! Judges every line of an input before any compute, and names all bad ones.

use std::fs::File;
use std::io::BufReader;
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
    let mut scanner = Scanner::new(BufReader::new(File::open(input).map_err(failed)?), &rules);
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
        let message = "the file has no requests".to_owned();
        whole = Some(LineError { code: "empty_file".to_owned(), message, line: None, param: None });
    }
    if let Some(problem) = whole {
        errors.insert(0, problem);
        return Ok(Checked::Bad { lines, errors });
    }
    let is_lenient = on_bad_line(batch) == OnBadLine::ErrorLine;
    if bad == 0 || is_lenient {
        // Without a good line there is no model; every line gets its error.
        return Ok(Checked::Good(BatchChecked { lines, model: model.unwrap_or_default() }));
    }
    if bad > MOST_NAMED as u64 {
        let message = format!("{bad} lines are wrong; these are the first {MOST_NAMED}");
        errors.insert(0, LineError { code: "too_many_errors".to_owned(), message, line: None, param: None });
    }
    Ok(Checked::Bad { lines, errors })
}

fn line_error(LineProblem { line, error, .. }: LineProblem) -> LineError {
    LineError { code: error.code.as_str().to_owned(), message: error.message, line, param: error.param }
}
