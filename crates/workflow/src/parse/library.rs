//! Workflows that other workflows start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::spec::PinnedWorkflow;

/// Maximum depth of workflows that start each other.
pub(crate) const MAXIMUM_DEPTH: usize = 8;

#[derive(Clone, Debug)]
pub struct Source {
    /// File name for messages; equal for equal files.
    pub origin: String,
    pub text: String,
    /// Absolute path of its folder; empty if it is not a file.
    pub folder: PathBuf,
}

/// Finds the workflows that steps start.
pub trait Library {
    /// # Errors
    /// The reason, for a person, why the workflow cannot be found.
    fn find(&self, workflow: &str, from: &str) -> Result<Source, String>;

    /// The library in which the steps of `workflow` find theirs.
    fn inside(&self, workflow: &str) -> &dyn Library;
}

/// The workflows that were pinned when the outermost run was submitted.
impl Library for BTreeMap<String, PinnedWorkflow> {
    fn find(&self, workflow: &str, from: &str) -> Result<Source, String> {
        let pinned = self.get(workflow).ok_or_else(|| format!("`{from}` was submitted without `{workflow}`"))?;
        Ok(Source { origin: pinned.origin.clone(), text: pinned.source.clone(), folder: pinned.folder.clone() })
    }

    fn inside(&self, workflow: &str) -> &dyn Library {
        self.get(workflow).map_or(&NoLibrary, |pinned| &pinned.children)
    }
}

/// The library of workflows that start no others.
pub struct NoLibrary;

impl Library for NoLibrary {
    fn find(&self, workflow: &str, _from: &str) -> Result<Source, String> {
        Err(format!("there is no workflow `{workflow}`"))
    }

    fn inside(&self, _workflow: &str) -> &dyn Library {
        self
    }
}

/// The chain of files being read: each file is started by the one before.
pub(crate) struct Nesting<'a> {
    library: &'a dyn Library,
    chain: Vec<String>,
}

impl<'a> Nesting<'a> {
    pub(crate) fn top(file: &str, library: &'a dyn Library) -> Nesting<'a> {
        Nesting { library, chain: vec![file.to_owned()] }
    }

    /// The innermost file.
    pub(crate) fn file(&self) -> &str {
        self.chain.last().map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn find(&self, workflow: &str) -> Result<Source, String> {
        self.library.find(workflow, self.file())
    }

    /// Enters `workflow`, which is in `file`, one level deeper.
    ///
    /// # Errors
    /// When `file` starts itself, or the chain is too long.
    pub(crate) fn enter(&self, workflow: &str, file: &str) -> Result<Nesting<'a>, String> {
        let mut chain = self.chain.clone();
        chain.push(file.to_owned());
        if self.chain.iter().any(|outer| outer == file) {
            return Err(format!("`{file}` starts itself: {}", chain.join(" -> ")));
        }
        if chain.len() > MAXIMUM_DEPTH {
            return Err(format!("workflows start each other {MAXIMUM_DEPTH} levels deep at most"));
        }
        Ok(Nesting { library: self.library.inside(workflow), chain })
    }
}
