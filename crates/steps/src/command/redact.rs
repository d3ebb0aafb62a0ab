//! Removes secrets from stored text: logs, messages, values.

use std::io::{self, Read, Write};
use std::sync::Arc;

use serde_json::{Map, Value};

use stepwell_base::failure::Failure;

/// Text that replaces a secret.
const MARK: &[u8] = b"***";
/// Minimum length of a line that is hidden on its own, for secrets of several lines such as a PEM key.
const SHORTEST_LINE: usize = 8;
const CHUNK: usize = 64 * 1024;

/// Holds the values to hide; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Redactor {
    /// Longest first.
    hidden: Arc<[Vec<u8>]>,
    /// True for the first byte of each hidden text: megabytes of log are compared with a secret only where one may
    /// start.
    starts: Arc<[bool]>,
}

impl Redactor {
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Redactor {
        let mut hidden = Vec::new();
        for secret in secrets {
            let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            hidden.extend(lines.chain([secret]).map(|text| text.as_bytes().to_vec()));
        }
        hidden.retain(|text: &Vec<u8>| !text.is_empty());
        hidden.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
        let starts = (0..=u8::MAX).map(|byte| hidden.iter().any(|text| text[0] == byte)).collect();
        Redactor { hidden: hidden.into(), starts }
    }

    pub(super) fn hides_nothing(&self) -> bool {
        self.hidden.is_empty()
    }

    fn may_start(&self, byte: u8) -> bool {
        self.starts.get(usize::from(byte)).is_some_and(|starts| *starts)
    }

    /// Moves the decidable part of `pending` to `out`, redacted. The rest may be the start of a secret.
    fn advance(&self, pending: &mut Vec<u8>, out: &mut Vec<u8>, end: End) {
        let mut at = 0;
        while at < pending.len() {
            let rest = &pending[at..];
            if !self.may_start(rest[0]) {
                out.push(rest[0]);
                at += 1;
                continue;
            }
            let cut = |text: &&Vec<u8>| end == End::Later && text.len() > rest.len() && text.starts_with(rest);
            if self.hidden.iter().any(|text| cut(&text)) {
                break;
            }
            match self.hidden.iter().find(|text| rest.starts_with(text)) {
                Some(text) => {
                    out.extend_from_slice(MARK);
                    at += text.len();
                }
                None => {
                    out.push(rest[0]);
                    at += 1;
                }
            }
        }
        pending.drain(..at);
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        self.advance(&mut bytes.to_vec(), &mut out, End::Here);
        out
    }

    pub(super) fn text(&self, text: &str) -> String {
        if self.hides_nothing() {
            return text.to_owned();
        }
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    pub(super) fn failure(&self, failure: Failure) -> Failure {
        let hint = failure.hint.as_deref().map(|hint| self.text(hint));
        Failure { message: self.text(&failure.message), hint, ..failure }
    }

    /// # Errors
    /// When the name of a value holds a secret: later steps could not find it under another name.
    pub(super) fn values(&self, values: Map<String, Value>) -> Result<Map<String, Value>, Failure> {
        if let Some(name) = values.keys().map(|name| (name, self.text(name))).find(|(name, shown)| *name != shown) {
            return Err(Failure::fatal(format!("the name of the value `{}` holds a secret", name.1))
                .with_hint("give the value another name, or the secret a longer content"));
        }
        Ok(values.into_iter().map(|(name, value)| (name, self.value(value))).collect())
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Number(number) => {
                let shown = self.text(&number.to_string());
                if shown == number.to_string() { Value::Number(number) } else { Value::String(shown) }
            }
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(entries) => {
                entries.into_iter().map(|(key, value)| (self.text(&key), self.value(value))).collect()
            }
            other @ (Value::Null | Value::Bool(_)) => other,
        }
    }

    /// Copies the output of a program until it ends. A log that cannot be written does not stop the program.
    pub(super) fn copy(&self, mut from: impl Read, mut to: impl Write) {
        let mut chunk = vec![0; CHUNK];
        let (mut pending, mut out) = (Vec::new(), Vec::new());
        loop {
            let end = match from.read(&mut chunk) {
                Ok(0) => End::Here,
                Ok(length) => {
                    pending.extend_from_slice(&chunk[..length]);
                    End::Later
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => End::Here,
            };
            self.advance(&mut pending, &mut out, end);
            let _ = to.write_all(&out);
            out.clear();
            if end == End::Here {
                return;
            }
        }
    }
}

/// Tells if more text follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Here,
    Later,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Yields its parts one by one.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(part) = (!self.0.is_empty()).then(|| self.0.remove(0)) else { return Ok(0) };
            buffer[..part.len()].copy_from_slice(&part);
            Ok(part.len())
        }
    }

    fn copied(redactor: &Redactor, parts: &[&[u8]]) -> String {
        let mut out = Vec::new();
        redactor.copy(Parts(parts.iter().map(|part| part.to_vec()).collect()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn secrets_are_hidden_wherever_reads_split_them() {
        let redactor = Redactor::new(["hunter2", "hunter22x"].into_iter());
        assert_eq!(copied(&redactor, &[b"a hun", b"ter2", b"2x b"]), "a *** b");
        assert_eq!(copied(&redactor, &[b"hunter2", b"2y hunt", b"er"]), "***2y hunter");
        assert_eq!(copied(&redactor, &[b"h", b"u", b"n", b"t", b"e", b"r", b"2"]), "***");
        let pem = Redactor::new(["-----BEGIN-----\nAAAABBBBCCCC\nx\n-----END-----"].into_iter());
        assert_eq!(copied(&pem, &[b"got AAAABBBBCCCC and x\n"]), "got *** and x\n");
        assert_eq!(redactor.text("no secret"), "no secret");
        let redact = |redactor: &Redactor, values: Value| redactor.values(values.as_object().unwrap().clone());
        let values = json!({ "a": ["hunter2", 3], "b": { "hunter2": "is hunter22x" } });
        let hidden = json!({ "a": ["***", 3], "b": { "***": "is ***" } });
        assert_eq!(redact(&redactor, values).map(Value::Object), Ok(hidden));
        let refused = redact(&redactor, json!({ "a hunter2": 1 })).unwrap_err();
        assert_eq!(refused.message, "the name of the value `a ***` holds a secret");
        let digits = Redactor::new(["482913"].into_iter());
        assert_eq!(
            redact(&digits, json!({ "pin": 482_913, "n": 5 })).map(Value::Object),
            Ok(json!({ "pin": "***", "n": 5 }))
        );
        let failure = redactor.failure(Failure::fatal("no hunter2").with_hint("hunter2?"));
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), ("no ***", Some("***?")));
    }

    #[test]
    fn what_cannot_be_a_secret_is_not_held_back() {
        let redactor = Redactor::new(["secret"].into_iter());
        let (mut pending, mut out) = (b"Password? s".to_vec(), Vec::new());
        redactor.advance(&mut pending, &mut out, End::Later);
        assert_eq!((out.as_slice(), pending.as_slice()), (&b"Password? "[..], &b"s"[..]));
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(text in "[abc]{0,60}", cuts in prop::collection::vec(0usize..60, 0..6),
                secrets in prop::collection::vec("[abc]{1,6}", 0..4)) {
            let redactor = Redactor::new(secrets.iter().map(String::as_str));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]])
                .filter(|part| !part.is_empty()).collect();
            let whole = redactor.text(&text);
            prop_assert_eq!(&copied(&redactor, &parts), &whole);
            prop_assert!(secrets.iter().all(|secret| !whole.contains(secret.as_str())));
        }
    }
}
