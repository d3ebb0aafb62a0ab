//! Input that an import skipped or changed: counts, and the first examples of each kind by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Maximum number of named examples per kind.
const NAMED: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// An entry of a folder.
    PassedOver,
    /// Text that looks like JSON.
    JsonAsText,
    /// A file that looks like UTF-8 although `encoding` differs.
    OtherEncoding,
    BadLine,
    /// A text field that is null.
    NullText,
    /// Half of a surrogate pair in a text, read as U+FFFD.
    LoneSurrogate,
}

impl Kind {
    fn summary(self, count: u64) -> String {
        let (one, many) = match self {
            Kind::PassedOver => ("entry of the folders was passed over", "entries of the folders were passed over"),
            Kind::JsonAsText => ("text file looks like JSON", "text files look like JSON"),
            Kind::OtherEncoding => ("file looks like UTF-8", "files look like UTF-8"),
            Kind::BadLine => ("bad line was passed over", "bad lines were passed over"),
            Kind::NullText => ("text is null and makes no document", "texts are null and make no document"),
            Kind::LoneSurrogate => (
                "text has half of a surrogate pair, read as U+FFFD",
                "texts have halves of surrogate pairs, read as U+FFFD",
            ),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Findings {
    found: BTreeMap<Kind, (u64, Vec<String>)>,
}

impl Findings {
    pub fn add(&mut self, kind: Kind, what: impl FnOnce() -> String) {
        let (count, named) = self.found.entry(kind).or_default();
        *count += 1;
        if named.len() < NAMED {
            named.push(what());
        }
    }

    pub fn count(&self, kind: Kind) -> u64 {
        self.found.get(&kind).map_or(0, |(count, _)| *count)
    }

    /// Returns one line per kind.
    pub fn lines(&self) -> Vec<String> {
        let line = |(kind, (count, named)): (&Kind, &(u64, Vec<String>))| {
            let more = if *count > named.len() as u64 { "; and more" } else { "" };
            format!("{}: {}{more}", kind.summary(*count), named.join("; "))
        };
        self.found.iter().map(line).collect()
    }

    /// Returns the counts and the lines as values of the step.
    pub fn values(&self) -> Vec<(String, Value)> {
        let counts = [
            ("passed_over", Kind::PassedOver),
            ("bad_lines", Kind::BadLine),
            ("null_texts", Kind::NullText),
            ("lone_surrogates", Kind::LoneSurrogate),
        ];
        let mut values: Vec<(String, Value)> =
            counts.into_iter().map(|(name, kind)| (name.to_owned(), json!(self.count(kind)))).collect();
        values.push(("notes".to_owned(), json!(self.lines())));
        values
    }
}
