//! References to content that steps consume and produce. The bytes live in the artifact store.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A BLAKE3-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a digest: expected 64 lower-case hexadecimal digits")]
pub struct InvalidDigest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(blake3::hash(bytes).to_hex().to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Digest(hash.to_hex().to_string())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(Digest(text.to_owned())) } else { Err(InvalidDigest(text.to_owned())) }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Media type of a tree: a JSON list of paths, each with digest and size.
pub const TREE_MEDIA_TYPE: &str = "application/vnd.stepwell.tree+json";
/// Media type of a file that its owner may execute; it stays executable when it is written to a disk again.
pub const EXECUTABLE_MEDIA_TYPE: &str = "application/x-executable";

/// A committed, immutable piece of content. For a tree, digest and size are those of its manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    pub media_type: String,
}

impl ArtifactRef {
    pub fn is_tree(&self) -> bool {
        self.media_type == TREE_MEDIA_TYPE
    }
}

/// The results of a step: artifacts by name, and small JSON values for templates and people.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Outputs {
    #[serde(default)]
    pub artifacts: BTreeMap<String, ArtifactRef>,
    #[serde(default)]
    pub values: Map<String, Value>,
}

impl Outputs {
    /// Artifacts by name, and an object of values, as in `json!({"documents": 12})`.
    ///
    /// # Panics
    /// When `values` is no object.
    pub fn of<const N: usize>(artifacts: [(&str, ArtifactRef); N], values: Value) -> Outputs {
        let Value::Object(values) = values else { panic!("the values of a step are an object, not {values}") };
        Outputs { artifacts: artifacts.map(|(name, artifact)| (name.to_owned(), artifact)).into(), values }
    }
}
