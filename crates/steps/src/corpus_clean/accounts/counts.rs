//! Counts of the first pass.

use serde::{Deserialize, Serialize};

use super::reason::Reason;
use super::report::Tally;
use crate::corpus_clean::arguments::Arguments;
use crate::corpus_clean::text::{Replaced, Rules};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accounts {
    pub tally: Tally,
    /// Documents and bytes of text that were read.
    pub read: (u64, u64),
    /// Bytes of text after normalisation.
    pub normalised_bytes: u64,
    pub nfkc_changed: u64,
    /// The first character that NFKC changed, and its replacement.
    pub nfkc_example: Option<(String, String)>,
    pub replaced: Replaced,
    /// Names of the invisible characters in the first text that has no others.
    pub invisible: Vec<String>,
}

impl Accounts {
    pub fn new(arguments: &Arguments, rules: &Rules) -> Accounts {
        let mut tally = Tally::new(arguments.samples, &rules.thresholds);
        if arguments.near_duplicates > 0.0 {
            tally.expect(Reason::NearDuplicate);
        }
        if arguments.contamination_words > 0 {
            tally.expect(Reason::Contaminated);
        }
        Accounts {
            tally,
            read: (0, 0),
            normalised_bytes: 0,
            nfkc_changed: 0,
            nfkc_example: None,
            replaced: Replaced::default(),
            invisible: Vec::new(),
        }
    }
}
