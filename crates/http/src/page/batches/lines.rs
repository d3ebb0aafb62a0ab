//! The first lines of a file of results.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::first::{Bad, short};
use crate::problem::Problem;
use stepwell_artifact::{ArtifactStore, open_regular};
use stepwell_base::json::{self, DEPTH, Limit};
use stepwell_store::Reader;

/// Lines that are shown.
const MOST: usize = 20;
/// Bytes that are read for them: a page is asked for again and again.
const MOST_BYTES: u64 = 256 << 10;

/// A row with an answer.
pub struct Good {
    pub id: String,
    pub text: String,
    pub why_ended: String,
}

/// The first rows without an answer.
///
/// # Errors
/// When the file cannot be read.
pub fn bad(reader: &Reader, file: &str) -> Result<Vec<Bad>, Problem> {
    Ok(lines(reader, file)?.iter().map(bad_line).collect())
}

/// The first rows with an answer.
///
/// # Errors
/// When the file cannot be read.
pub fn good(reader: &Reader, file: &str) -> Result<Vec<Good>, Problem> {
    Ok(lines(reader, file)?.iter().map(good_line).collect())
}

/// Nothing for a file that was deleted, or whose content is gone.
fn lines(reader: &Reader, file: &str) -> Result<Vec<Value>, Problem> {
    let Some(file) = reader.file(file)? else { return Ok(Vec::new()) };
    let path = ArtifactStore::open(reader.state_dir())?.blob_path(&file.artifact.digest);
    let Ok(content) = open_regular(&path) else { return Ok(Vec::new()) };
    let failed = |error: std::io::Error| Problem::internal("reading a result file", &error);
    let mut content = BufReader::new(content.take(MOST_BYTES));
    let (mut found, mut line) = (Vec::new(), Vec::new());
    while found.len() < MOST {
        line.clear();
        if content.read_until(b'\n', &mut line).map_err(failed)? == 0 || line.last() != Some(&b'\n') {
            break;
        }
        found.extend(json::parse::<Value>(&line, Limit { depth: DEPTH, bytes: MOST_BYTES }));
    }
    Ok(found)
}

fn id(line: &Value) -> String {
    line["custom_id"].as_str().map_or_else(|| "no id".to_owned(), short)
}

fn bad_line(line: &Value) -> Bad {
    // An error of the request, as if it had been sent alone; or of the batch.
    let error = match &line["error"] {
        Value::Null => &line["response"]["body"]["error"],
        error => error,
    };
    let text = |name: &str| short(error[name].as_str().unwrap_or_default());
    Bad { place: id(line), code: text("code"), text: text("message") }
}

fn good_line(line: &Value) -> Good {
    let choice = &line["response"]["body"]["choices"][0];
    let said = choice["message"]["content"].as_str().or(choice["text"].as_str());
    Good {
        id: id(line),
        text: short(said.unwrap_or_default()),
        why_ended: choice["finish_reason"].as_str().map(short).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_of_errors_are_told() {
        let of_request = json!({ "custom_id": "a", "response": { "status_code": 400, "body": { "error":
            { "code": "invalid_value", "message": "`n` is too large" } } }, "error": null });
        let of_batch = json!({ "custom_id": null, "response": null, "error":
            { "code": "batch_expired", "message": "too late\u{1b}[2J" } });
        let told = [of_request, of_batch].map(|line| bad_line(&line));
        assert_eq!((&*told[0].place, &*told[0].code, &*told[0].text), ("a", "invalid_value", "`n` is too large"));
        assert_eq!((&*told[1].place, &*told[1].code), ("no id", "batch_expired"));
        assert!(!told[1].text.contains('\u{1b}'));
    }

    #[test]
    fn answers_of_both_endpoints_are_told() {
        let chat = json!({ "custom_id": "a", "response": { "body": { "choices": [
            { "message": { "content": "four" }, "finish_reason": "stop" }] } } });
        let text = json!({ "custom_id": "b", "response": { "body": { "choices": [
            { "text": " five", "finish_reason": "length" }] } } });
        let told = [chat, text].map(|line| good_line(&line));
        assert_eq!((&*told[0].text, &*told[0].why_ended), ("four", "stop"));
        assert_eq!((&*told[1].text, &*told[1].why_ended), (" five", "length"));
    }
}
