use std::io::Cursor;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::body::Endpoint;
use crate::error::Code;

fn rules() -> Rules {
    Rules { limits: Limits::OPENAI, endpoint: Some(Endpoint::ChatCompletions), models: Vec::new() }
}

fn line(id: &str) -> String {
    json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": []}})
        .to_string()
}

/// Line numbers with `None` for a request, or the code of what is wrong.
fn judged(text: &[u8], rules: &Rules) -> Vec<(Option<u64>, Option<Code>)> {
    let mut scanner = Scanner::new(Cursor::new(text), rules);
    let mut found = Vec::new();
    while let Some(record) = scanner.next_record().unwrap() {
        match record {
            Ok((place, seen)) => {
                let at = place.offset as usize;
                assert!(
                    place.is(&text[at..at + place.bytes as usize]) || place.bytes as u64 == rules.limits.line_bytes
                );
                let code = match seen {
                    Seen::Request(_) => None,
                    Seen::Bad(problem) => Some(problem.error.code),
                };
                found.push((Some(place.line), code));
            }
            Err(problem) => {
                found.push((problem.line, Some(problem.error.code)));
                return found;
            }
        }
    }
    assert_eq!(scanner.digest(), blake3::hash(text));
    found
}

#[test]
fn every_bad_line_is_named() {
    let text = [
        line("a"),
        String::new(),
        "{broken".to_owned(),
        line("a"),
        line("b").replace("chat/completions", "embeddings"),
        line("c").replace("chat/completions", "completions"),
        line("d").replace("POST", "GET"),
        line("e").replace("\"m\"", "\"other\""),
        line("f").replace("\"f\"", "7"),
        line("g").replace("\"body\"", "\"buddy\""),
        "[1]".to_owned(),
        " \t ".to_owned(),
        line(""),
        line("b"),
        line("z"),
    ]
    .join("\r\n");
    let found = judged(text.as_bytes(), &rules());
    let some = |line, code| (Some(line), Some(code));
    assert_eq!(
        found,
        [
            (Some(1), None),
            some(3, Code::InvalidJsonLine),
            some(4, Code::DuplicateCustomId),
            some(5, Code::InvalidUrl),
            some(6, Code::MismatchedUrl),
            some(7, Code::InvalidMethod),
            some(8, Code::MismatchedModel),
            some(9, Code::InvalidCustomId),
            some(10, Code::MissingRequiredParameter),
            some(11, Code::InvalidJsonLine),
            some(13, Code::InvalidCustomId),
            some(14, Code::DuplicateCustomId),
            (Some(15), None),
        ]
    );
}

#[test]
fn the_model_may_have_to_be_a_known_one() {
    let rules = Rules { models: vec!["n".to_owned()], ..rules() };
    assert_eq!(judged(line("a").as_bytes(), &rules), [(Some(1), Some(Code::ModelNotFound))]);
    let missing = line("a").replace(",\"model\":\"m\"", "");
    assert_eq!(judged(missing.as_bytes(), &rules), [(Some(1), None)], "a body without a model is a matter of the row");
}

#[test]
fn limits_of_lines_bytes_and_lengths_hold() {
    let text = format!("{}\n{}\n{}\n", line("a"), line("b"), line("c"));
    let limit = |lines, bytes, line_bytes| Rules { limits: Limits { lines, bytes, line_bytes }, ..rules() };
    let last = |rules: Rules| judged(text.as_bytes(), &rules).last().unwrap().1;
    assert_eq!(last(limit(3, 1 << 20, 1 << 20)), None);
    assert_eq!(last(limit(2, 1 << 20, 1 << 20)), Some(Code::TooManyLines));
    assert_eq!(last(limit(3, text.len() as u64 - 1, 1 << 20)), Some(Code::FileTooLarge));
    assert_eq!(last(limit(3, text.len() as u64, 1 << 20)), None);
    assert_eq!(judged(text.as_bytes(), &limit(3, 1 << 20, 20)), [1, 2, 3].map(|n| (Some(n), Some(Code::LineTooLarge))));
    assert_eq!(judged(b"", &rules()), []);
    assert_eq!(judged(b"\xef\xbb\xbf\n\n", &rules()), []);
    assert_eq!(judged(format!("\u{feff}{}", line("a")).as_bytes(), &rules()), [(Some(1), None)]);
}

#[test]
fn a_changed_line_is_noticed() {
    let text = line("a");
    let rules = rules();
    let mut scanner = Scanner::new(Cursor::new(&text), &rules);
    let Some(Ok((place, _))) = scanner.next_record().unwrap() else { panic!() };
    assert!(place.is(text.as_bytes()));
    assert!(!place.is(text.replace('a', "b").as_bytes()));
}

/// A line as vLLM's examples have it, and with fields that only vLLM knows.
#[test]
fn lines_of_vllm_are_taken() {
    let text = r#"{"custom_id": "request-1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "NousResearch/Hermes", "messages": [{"role": "system", "content": "You are a helpful assistant."},{"role": "user", "content": "Hello world!"}],"max_completion_tokens": 1000}, "extra": 1}"#;
    let request = parse_line(text.as_bytes(), 1 << 20).unwrap();
    crate::body::Body::parse(request.endpoint, request.body).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        judged(&bytes, &rules());
    }

    #[test]
    fn no_change_of_a_line_panics(at in 0_usize..200, byte in any::<u8>()) {
        let mut text = line("a").into_bytes();
        let at = at % text.len();
        text[at] = byte;
        judged(&text, &rules());
        if let Ok(request) = parse_line(&text, 1 << 20) {
            let _ = crate::body::Body::parse(request.endpoint, request.body);
        }
    }
}
