//! Ids that are derived from the content of a batch: equal files have equal ids, whatever was killed.

use crate::body::Endpoint;

/// Stands for everything that the results of a batch depend on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchName([u8; 32]);

impl BatchName {
    /// `parts` are the digests of the input, the model and the options.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> BatchName {
        let mut hasher = blake3::Hasher::new_derive_key("stepwell batch name 1");
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        BatchName(*hasher.finalize().as_bytes())
    }

    /// The id of a result line.
    pub fn line_id(&self, line: u64) -> String {
        format!("batch_req_{}", self.derive("line", line))
    }

    pub fn request_id(&self, line: u64) -> String {
        format!("req_{}", self.derive("request", line))
    }

    pub fn completion_id(&self, endpoint: Endpoint, line: u64) -> String {
        let prefix = match endpoint {
            Endpoint::ChatCompletions => "chatcmpl",
            Endpoint::Completions => "cmpl",
        };
        format!("{prefix}-{}", self.derive("completion", line))
    }

    fn derive(&self, what: &str, line: u64) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(what.as_bytes()).update(&line.to_le_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }
}
