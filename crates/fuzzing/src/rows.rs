//! Checks batch files, the bodies of their lines, and JSON schemas of answers.

use std::io::Cursor;
use std::sync::Arc;

use stepwell_base::ordered_json::Json;
use stepwell_batch::body::{Body, MOST_PROMPTS};
use stepwell_batch::lines::{Limits, Rules, Scanner, Seen};
use stepwell_inference::{Grammar, SchemaState};

/// A message quotes what it complains about, but not all of a long text.
const LONGEST_MESSAGE: usize = 4096;

/// Every record is a request or a problem, and each request's body is within bounds or refused.
pub(super) fn rows(data: &[u8]) {
    let rules = Rules { limits: Limits::LOCAL, endpoint: None, models: Vec::new() };
    let mut scanner = Scanner::new(Cursor::new(data), &rules);
    let records = data.split(|byte| *byte == b'\n').count();
    for _ in 0..=records {
        let Ok(Some(Ok((place, seen)))) = scanner.next_record() else { return };
        match seen {
            Seen::Request(request) => {
                let line = &data[place.offset as usize..][..place.bytes as usize];
                assert!(place.is(line), "the place is that of the line");
                let ordered = request.ordered.clone();
                match Body::parse(request.endpoint, request.body) {
                    Ok(body) => assert!((1..=MOST_PROMPTS).contains(&body.in_order(ordered).choices())),
                    Err(error) => assert!(error.message.len() < LONGEST_MESSAGE, "{}", error.message),
                }
            }
            Seen::Bad(problem) => {
                assert!(problem.error.message.len() < LONGEST_MESSAGE, "{}", problem.error.message);
            }
        }
    }
    panic!("more records than lines");
}

/// A schema on the first line, a text on the rest: an accepted schema has a text, and a complete text is a JSON object.
pub(super) fn schema(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Ok(schema) = serde_json::from_slice::<Json>(&data[..end]) else { return };
    let grammar = match Grammar::of(&schema, "schema") {
        Ok(grammar) => Arc::new(grammar),
        Err(error) => return assert!(error.to_string().len() < LONGEST_MESSAGE, "{error}"),
    };
    let mut state = SchemaState::new(grammar);
    let text = data.get(end + 1..).unwrap_or_default();
    for (index, byte) in text.iter().enumerate() {
        // Near the limit of depth, a value may be required that no longer fits.
        let deep = text[..index].iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > 30;
        assert!(deep || (0..=u8::MAX).any(|byte| state.after(&[byte]).is_some()), "a dead end");
        let Some(next) = state.after(&[*byte]) else { return };
        state = next;
        if state.is_complete() {
            serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&text[..=index]).expect("an object");
            return;
        }
    }
}
