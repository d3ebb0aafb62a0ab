//! Arguments of `corpus.clean`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use whatlang::Lang;

use super::text::{Pii, Rules};

use super::quality::{Preset, Thresholds};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Most samples per reason, which bounds the report.
const MOST_SAMPLES: usize = 100;

/// Sequences of fewer words are shared by chance.
const FEWEST_SHARED_WORDS: usize = 5;
const MOST_SHARED_WORDS: usize = 100;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Output `documents` of a `corpus.import` step, or a list of such outputs.
    documents: Documents,
    /// Normalise to Unicode form KC, which turns `x²` into `x2` and the ligature of `fi` into two letters. Prompts need
    /// the same normalisation.
    #[serde(default = "yes")]
    pub nfkc: bool,
    /// Remove HTML tags and Markdown marks.
    #[serde(default)]
    strip_markup: bool,
    #[serde(default)]
    strip_urls: bool,
    /// Replace personal data of these forms by a mark such as `[email]`.
    #[serde(default)]
    pub pii: Vec<Pii>,
    /// Minimum length of a document in characters; shorter ones are dropped.
    #[serde(default = "one")]
    min_chars: u64,
    /// Maximum length of a document in characters; longer ones are dropped.
    #[serde(default)]
    max_chars: Option<u64>,
    /// ISO 639-3 codes such as `eng`: documents in other languages are dropped. Empty keeps all.
    #[serde(default)]
    languages: Vec<String>,
    /// Published quality filters: documents that break one of their rules are dropped.
    #[serde(default)]
    rules: Vec<Preset>,
    /// Thresholds of single quality rules, such as `{ min_words = 20 }`, in place of those of `rules`.
    #[serde(default)]
    thresholds: BTreeMap<String, f64>,
    /// Drop documents whose text has occurred before.
    #[serde(default = "yes")]
    pub dedupe: bool,
    /// Drop documents that are this similar to an earlier one, or more: estimated Jaccard similarity of sequences of five
    /// words, such as 0.8. 0 is off.
    #[serde(default)]
    pub near_duplicates: f64,
    /// Drop training documents that share a sequence of so many words with held-out text; GPT-3 used 13. 0 is off.
    #[serde(default)]
    pub contamination_words: usize,
    /// Documents that are held out besides the validation part: outputs `documents` of evaluation sets.
    #[serde(default)]
    pub evaluation: Vec<ArtifactRef>,
    /// Dropped documents that the report shows for each reason.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// Method that selects the validation part.
    #[serde(default)]
    pub validation: Validation,
    /// Share of the documents (`hash`) or of the text (`tail`) that is held out for validation.
    #[serde(default = "tenth")]
    pub validation_fraction: f64,
    /// Size in bytes at which a training shard is closed.
    #[serde(default = "default_shard_bytes")]
    pub shard_bytes: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Documents {
    One(ArtifactRef),
    Many(Vec<ArtifactRef>),
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Validation {
    /// `hash` for 100 documents or more, otherwise `tail`.
    #[default]
    Auto,
    /// Select documents by a hash of their text.
    Hash,
    /// Hold out the end of the text; this may cut a document.
    Tail,
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn tenth() -> f64 {
    0.1
}

fn default_samples() -> usize {
    5
}

fn default_shard_bytes() -> u64 {
    4 << 20
}

impl Arguments {
    pub fn documents(&self) -> &[ArtifactRef] {
        match &self.documents {
            Documents::One(documents) => std::slice::from_ref(documents),
            Documents::Many(documents) => documents,
        }
    }

    /// Checks the arguments and returns the rules for each document.
    ///
    /// # Errors
    /// When a number is out of its range, or a name is unknown.
    pub fn rules(&self) -> Result<Rules, Failure> {
        self.check_numbers()?;
        let languages = self.languages.iter().map(|code| {
            Lang::from_code(code.as_str()).ok_or_else(|| {
                Failure::fatal(format!("unknown language `{code}` in `languages`"))
                    .with_hint("use ISO 639-3 codes of three letters, such as `eng`, `deu`, `fra`, `spa`")
            })
        });
        Ok(Rules {
            strip_markup: self.strip_markup,
            strip_urls: self.strip_urls,
            nfkc: self.nfkc,
            pii: self.pii.clone(),
            min_chars: self.min_chars,
            max_chars: self.max_chars,
            languages: languages.collect::<Result<_, _>>()?,
            thresholds: Thresholds::new(&self.rules, &self.thresholds)?,
        })
    }

    fn check_numbers(&self) -> Result<(), Failure> {
        if self.documents().is_empty() {
            return Err(Failure::fatal("`documents` is an empty list").with_hint("name outputs of `corpus.import`"));
        }
        if !(self.validation_fraction > 0.0 && self.validation_fraction < 1.0) {
            let message = format!("`validation_fraction` is {}: it must lie between 0 and 1", self.validation_fraction);
            return Err(Failure::fatal(message)
                .with_hint("0.1 holds out a tenth; a run cannot be evaluated without validation text"));
        }
        if self.shard_bytes == 0 {
            return Err(Failure::fatal("`shard_bytes` is 0").with_hint("leave it out for shards of 4 MiB"));
        }
        if let Some(most) = self.max_chars.filter(|most| *most < self.min_chars) {
            let message = format!("`max_chars` ({most}) is less than `min_chars` ({})", self.min_chars);
            return Err(Failure::fatal(message).with_hint("swap them, or leave one out"));
        }
        if !(self.near_duplicates == 0.0 || (0.5..=1.0).contains(&self.near_duplicates)) {
            let message = format!("`near_duplicates` is {}: it must be 0 (off) or from 0.5 to 1", self.near_duplicates);
            return Err(Failure::fatal(message).with_hint("0.8 drops documents of which four fifths are equal"));
        }
        let words = self.contamination_words;
        if words != 0 && !(FEWEST_SHARED_WORDS..=MOST_SHARED_WORDS).contains(&words) {
            let message = format!(
                "`contamination_words` is {words}: it must be 0 (off) or from {FEWEST_SHARED_WORDS} to {MOST_SHARED_WORDS}"
            );
            return Err(Failure::fatal(message).with_hint("13 is usual"));
        }
        if words == 0 && !self.evaluation.is_empty() {
            return Err(Failure::fatal("`evaluation` is set, `contamination_words` is not")
                .with_hint("set `contamination_words = 13`, or leave `evaluation` out"));
        }
        if self.samples > MOST_SAMPLES {
            return Err(Failure::fatal(format!("`samples` is {}", self.samples))
                .with_hint(format!("the report shows at most {MOST_SAMPLES} documents for each reason")));
        }
        Ok(())
    }
}
