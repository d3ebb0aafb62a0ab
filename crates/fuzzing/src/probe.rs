//! Checks that several targets share.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use stepwell_base::failure::Failure;
use stepwell_base::json::{self, Limit};

/// Maximum bytes of a message and hint, without the text that they quote.
const LONGEST_MESSAGE: usize = 4096;

/// Checks that accepted data can be written to the database or sent to a worker, and read back unchanged.
pub(super) fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("what was accepted has a JSON form");
    match json::parse::<T>(text.as_bytes(), Limit::STORED) {
        Ok(read) => assert_eq!(read, *value, "read back as something else"),
        Err(error) => panic!("accepted, but cannot be read back: {error}: {text}"),
    }
}

/// Checks that a refusal is short enough to read.
pub(super) fn is_readable(failure: &Failure, quoted: usize) {
    let length = failure.message.len() + failure.hint.as_ref().map_or(0, String::len);
    assert!(length <= LONGEST_MESSAGE + quoted, "a message of {length} bytes: {failure}");
}

pub(super) fn head_and_body(data: &[u8]) -> (&str, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let head = std::str::from_utf8(&data[..end]).unwrap_or_default();
    (head, data.get(end + 1..).unwrap_or_default())
}
