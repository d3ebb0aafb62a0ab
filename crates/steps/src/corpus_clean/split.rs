//! Divides documents into training and validation, by a hash or by their place in the text.

/// Rule that divides documents.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Split {
    /// By a hash of the text: stable when documents are added, removed or reordered.
    Hash { fraction: f64 },
    /// The text from this byte on, counted over all documents, is validation.
    Tail { validation_from: u64 },
}

impl Split {
    /// Holds out the last `fraction` of `total_bytes` of text.
    pub fn tail(fraction: f64, total_bytes: u64) -> Split {
        Split::Tail { validation_from: (total_bytes as f64 * (1.0 - fraction)).floor() as u64 }
    }

    /// Divides one document, whose text starts at byte `start` of the whole, into its training and validation parts.
    /// Either may be empty; a cut never falls inside a character.
    pub fn divide<'a>(&self, text: &'a str, start: u64) -> (&'a str, &'a str) {
        match self {
            Split::Hash { fraction } if unit_hash(text) < *fraction => ("", text),
            Split::Hash { .. } => (text, ""),
            Split::Tail { validation_from } => {
                let wanted = validation_from.saturating_sub(start).min(text.len() as u64) as usize;
                text.split_at(text.floor_char_boundary(wanted))
            }
        }
    }
}

/// Maps the text's hash to a number in `[0, 1)`.
fn unit_hash(text: &str) -> f64 {
    let hash = blake3::hash(text.as_bytes());
    let mut word = [0; 8];
    word.copy_from_slice(&hash.as_bytes()[..8]);
    (u64::from_le_bytes(word) >> 11) as f64 / (1u64 << 53) as f64
}
