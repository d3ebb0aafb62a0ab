//! Counts and samples of what was dropped, and the report made from them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reason::Reason;
use crate::corpus_clean::quality::Thresholds;
use crate::corpus_clean::text::{Pii, Replaced};

/// Characters of a document that a sample shows.
const SHOWN_CHARS: usize = 200;

/// A dropped document, as an example of its reason.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    /// Measurement of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The document that was kept in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Its number among the cleaned documents.
    #[serde(skip)]
    pub like_number: Option<u32>,
    /// Start of its text.
    pub text: String,
}

impl Sample {
    pub fn new(id: &str, text: &str) -> Self {
        Sample { id: id.to_owned(), value: None, like: None, like_number: None, text: excerpt(text) }
    }
}

pub fn excerpt(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// Documents that were dropped for one reason.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Dropped {
    pub documents: u64,
    /// Bytes of their cleaned text.
    pub bytes: u64,
    /// Those with the smallest hashes: a choice that depends on nothing but the documents.
    #[serde(with = "pairs")]
    samples: BTreeMap<(u64, u64), Sample>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tally {
    #[serde(with = "pairs")]
    pub dropped: BTreeMap<Reason, Dropped>,
    /// Samples kept of each reason.
    most_samples: usize,
    /// Orders documents with equal hashes.
    counted: u64,
}

impl Tally {
    pub fn new(most_samples: usize, thresholds: &Thresholds) -> Self {
        let always = Reason::ALWAYS.into_iter();
        let quality = thresholds.rules().map(|(at, ..)| Reason::Quality(at));
        let dropped = always.chain(quality).map(|reason| (reason, Dropped::default())).collect();
        Tally { dropped, most_samples, counted: 0 }
    }

    /// Counts a reason even if no document is dropped for it.
    pub fn expect(&mut self, reason: Reason) {
        self.dropped.entry(reason).or_default();
    }

    /// Counts a dropped document of `bytes`. `hash` decides if it becomes a sample.
    pub fn add(&mut self, reason: Reason, bytes: u64, hash: u64, sample: impl FnOnce() -> Sample) {
        let dropped = self.dropped.entry(reason).or_default();
        dropped.documents += 1;
        dropped.bytes += bytes;
        self.counted += 1;
        let key = (hash, self.counted);
        let is_full = dropped.samples.len() >= self.most_samples;
        if !is_full || dropped.samples.last_key_value().is_some_and(|(largest, _)| key < *largest) {
            dropped.samples.insert(key, sample());
            while dropped.samples.len() > self.most_samples {
                dropped.samples.pop_last();
            }
        }
    }

    /// Numbers of the documents that samples refer to.
    pub fn likes(&self) -> BTreeSet<u32> {
        self.dropped
            .values()
            .flat_map(|dropped| dropped.samples.values())
            .filter_map(|sample| sample.like_number)
            .collect()
    }

    /// Names a document that samples refer to.
    pub fn name_like(&mut self, number: u32, id: &str) {
        for sample in self.dropped.values_mut().flat_map(|dropped| dropped.samples.values_mut()) {
            if sample.like_number == Some(number) {
                sample.like = Some(id.to_owned());
            }
        }
    }

    pub fn documents(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.documents).sum()
    }

    /// Number of documents by reason.
    pub fn counts(&self) -> Map<String, Value> {
        self.dropped.iter().map(|(reason, dropped)| (reason.as_str().to_owned(), json!(dropped.documents))).collect()
    }

    /// One row per reason, with the rule, its threshold and samples.
    pub fn rows(&self, thresholds: &Thresholds) -> Vec<Value> {
        let row = |(reason, dropped): (&Reason, &Dropped)| {
            let mut row = json!({
                "reason": reason.as_str(),
                "documents": dropped.documents,
                "bytes": dropped.bytes,
                "samples": dropped.samples.values().collect::<Vec<_>>(),
            });
            if let (Some(rule), Reason::Quality(at)) = (reason.rule(), *reason) {
                let threshold = thresholds.rules().find(|(other, ..)| *other == at).map(|(.., threshold)| threshold);
                row["rule"] = json!({ "measures": rule.about, "bound": rule.bound.as_str(), "threshold": threshold });
            }
            row
        };
        self.dropped.iter().map(row).collect()
    }
}

/// Maps whose keys are no text, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Number of replacements by form, of the wanted forms.
pub fn replaced(wanted: &[Pii], replaced: &Replaced) -> Map<String, Value> {
    let all = Pii::ALL.iter().zip(replaced);
    all.filter(|(kind, _)| wanted.contains(kind))
        .map(|(kind, count)| (kind.as_str().to_owned(), json!(count)))
        .collect()
}
