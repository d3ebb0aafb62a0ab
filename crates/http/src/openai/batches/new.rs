//! A batch that somebody asks for: what it must say, and the id that follows from it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::run::check_switch;
use crate::openai::digest;
use crate::problem::Problem;
use stepwell_base::artifact::ArtifactRef;
use stepwell_batch::body::Endpoint;
use stepwell_batch::window::Deadline;
use stepwell_store::{BatchRow, FileRow};

/// Longest window.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Entries of the metadata, and characters of a key and of a value, as OpenAI has them.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// A checked request for a batch.
#[derive(Clone, PartialEq, Debug)]
pub struct NewBatch {
    input_file: String,
    input: ArtifactRef,
    endpoint: Endpoint,
    completion_window: String,
    expires_at: Timestamp,
    created_at: Timestamp,
    metadata: BTreeMap<String, String>,
    output_expires_after: Option<u32>,
}

impl NewBatch {
    /// # Errors
    /// For a field that is wrong.
    pub fn new(
        file: FileRow,
        (endpoint, window): (&str, &str),
        metadata: BTreeMap<String, String>,
        output_expires_after: Option<u32>,
    ) -> Result<NewBatch, Problem> {
        let created_at = Timestamp::now();
        check_metadata(&metadata)?;
        Ok(NewBatch {
            input_file: file.id,
            input: file.artifact,
            endpoint: self::endpoint(endpoint)?,
            completion_window: window.to_owned(),
            expires_at: deadline(window, created_at)?,
            created_at,
            metadata,
            output_expires_after,
        })
    }

    /// The same for the same request, so that a client that repeats a lost one gets the batch that it has already.
    /// `metadata.rerun` asks for another batch, as any other change of the metadata does.
    pub fn id(&self) -> String {
        let asked = json!({
            "input": self.input_file,
            "endpoint": self.endpoint.as_str(),
            "completion_window": self.completion_window,
            "metadata": self.metadata,
            "output_expires_after": self.output_expires_after,
        });
        format!("batch_{}", digest::of_bytes(asked.to_string().as_bytes()))
    }

    pub fn row(self) -> BatchRow {
        BatchRow {
            id: self.id(),
            created_at: self.created_at,
            endpoint: self.endpoint.as_str().to_owned(),
            completion_window: self.completion_window,
            expires_at: self.expires_at,
            input_file: self.input_file,
            input: self.input,
            metadata: self.metadata,
            output_expires_after: self.output_expires_after,
            checked: None,
            cancelling_at: None,
            ending: None,
        }
    }
}

fn endpoint(url: &str) -> Result<Endpoint, Problem> {
    Endpoint::find(url).ok_or_else(|| {
        let known = Endpoint::ALL.map(Endpoint::as_str).join(", ");
        Problem::usage("batches here are not for this endpoint").hint(format!("there are {known}")).about("endpoint")
    })
}

fn deadline(window: &str, created_at: Timestamp) -> Result<Timestamp, Problem> {
    let wrong = || {
        let detail = "`completion_window` is a time such as `24h`, at most seven days";
        Problem::usage(detail).about("completion_window")
    };
    match Deadline::parse(window).map_err(|_| wrong())? {
        Deadline::At(_) => Err(wrong()),
        after => Some(after.of(created_at)).filter(|at| at.duration_since(created_at) <= LONGEST).ok_or_else(wrong),
    }
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Problem> {
    let (entries, key, value) = METADATA;
    let fits = |(name, text): (&String, &String)| name.chars().count() <= key && text.chars().count() <= value;
    if metadata.len() > entries || !metadata.iter().all(fits) {
        let detail =
            format!("`metadata` has at most {entries} entries, keys of {key} and values of {value} characters");
        return Err(Problem::usage(detail).about("metadata"));
    }
    check_switch(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(digit: &str) -> FileRow {
        FileRow {
            id: format!("file-{}", digit.repeat(64)),
            artifact: ArtifactRef { digest: "0".repeat(64).parse().unwrap(), size: 1, media_type: String::new() },
            filename: "in.jsonl".to_owned(),
            purpose: "batch".to_owned(),
            created_at: Timestamp::now(),
            expires_at: None,
        }
    }

    fn batch(digit: &str, metadata: &[(&str, &str)]) -> NewBatch {
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        NewBatch::new(file(digit), ("/v1/completions", "24h"), metadata, None).unwrap()
    }

    #[test]
    fn the_same_request_is_the_same_batch_and_rerun_asks_for_another() {
        let first = batch("0", &[("a", "1"), ("b", "2")]).id();
        assert_eq!(first, batch("0", &[("b", "2"), ("a", "1")]).id());
        assert_eq!(first.len(), 70);
        let others = [batch("1", &[("a", "1"), ("b", "2")]), batch("0", &[]), batch("0", &[("rerun", "1")])];
        let mut ids: Vec<String> = others.iter().map(NewBatch::id).chain([first]).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |endpoint: &str, window: &str, metadata: BTreeMap<String, String>| {
            let refused = NewBatch::new(file("0"), (endpoint, window), metadata, None).unwrap_err();
            refused.param().map(str::to_owned)
        };
        let none = BTreeMap::new;
        assert_eq!(refused("/v1/embeddings", "24h", none()).as_deref(), Some("endpoint"));
        for window in ["", "24", "8d", "0h", "2030-01-01T00:00:00Z"] {
            assert_eq!(refused("/v1/completions", window, none()).as_deref(), Some("completion_window"), "{window}");
        }
        let many = (0..17).map(|n| (n.to_string(), String::new())).collect();
        let long = BTreeMap::from([("k".to_owned(), "v".repeat(513))]);
        let switch = BTreeMap::from([("stepwell.on_bad_line".to_owned(), "explode".to_owned())]);
        for metadata in [many, long, switch] {
            assert_eq!(refused("/v1/completions", "24h", metadata).as_deref(), Some("metadata"));
        }
    }
}
