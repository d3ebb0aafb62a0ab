//! Checksums that servers give: SHA-256, and the object id of Git, which is the SHA-1 of a short header and the content.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Expected checksum of a file.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    Sha256(String),
    /// Of files that the hub keeps in Git itself.
    GitBlob(String),
}

/// Digests of a file that grows.
#[derive(Clone)]
pub struct Digests {
    sha256: Context,
    git: Option<Context>,
}

impl Digests {
    /// `git_length` is the length of the file, if its Git object id is wanted.
    pub fn new(git_length: Option<u64>) -> Self {
        let git = git_length.map(|length| {
            let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            context.update(format!("blob {length}\0").as_bytes());
            context
        });
        Digests { sha256: Context::new(&SHA256), git }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
    }

    pub fn sha256(&self) -> String {
        hex(self.sha256.clone().finish().as_ref())
    }

    /// The digest that the checksum is compared with.
    pub fn of(&self, checksum: &Checksum) -> String {
        match (checksum, &self.git) {
            (Checksum::GitBlob(_), Some(git)) => hex(git.clone().finish().as_ref()),
            _ => self.sha256(),
        }
    }
}

impl Checksum {
    pub fn value(&self) -> &str {
        match self {
            Checksum::Sha256(hex) | Checksum::GitBlob(hex) => hex,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Checksum::Sha256(_) => "SHA-256",
            Checksum::GitBlob(_) => "Git object id",
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
