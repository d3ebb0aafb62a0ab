//! Finds the content that runs refer to, so that a clean-up can remove all other content.

use std::collections::BTreeSet;

use serde_json::Value;

use stepwell_artifact::{ArtifactError, ArtifactStore};
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::ids::RunId;
use stepwell_store::Reader;

use super::error::MaintenanceError;

/// Returns all content that the runs outside of `pruned` refer to or will refer to.
///
/// # Errors
/// `Unreadable` when a tree that is referred to cannot be read.
pub(super) fn content_in_use(
    reader: &Reader,
    artifacts: &ArtifactStore,
    pruned: &BTreeSet<RunId>,
) -> Result<BTreeSet<Digest>, MaintenanceError> {
    let mut used = BTreeSet::new();
    let references = reader.references(None)?;
    for reference in references.iter().filter(|reference| !pruned.contains(&reference.run)) {
        match artifacts.blobs(&reference.artifact) {
            Ok(blobs) => used.extend(blobs),
            // An engine has dropped the checkpoint meanwhile.
            Err(ArtifactError::Missing { .. }) if !reader.is_referenced(&reference.artifact.digest)? => {}
            Err(source) => return Err(MaintenanceError::Unreadable { holder: reference.to_string(), source }),
        }
    }
    // Files of clients are no trees. One whose content is gone already uses nothing.
    used.extend(reader.served_content()?.into_iter().map(|content| content.digest));
    let mut named = Named { artifacts, used };
    let mut read = Ok(());
    reader.each_arguments(|run, arguments| {
        if read.is_ok() && !pruned.contains(&run) {
            read = named.add_arguments(run, arguments);
        }
    })?;
    read?;
    // A parameter may name content of a pruned run.
    for row in reader.open_runs()?.all()? {
        let spec = reader.spec(row.id)?;
        for values in std::iter::once(spec.params).chain(spec.steps.into_iter().map(|step| step.with)) {
            named.add_arguments(row.id, &Value::Object(values))?;
        }
    }
    Ok(named.used)
}

/// Content that arguments name.
struct Named<'a> {
    artifacts: &'a ArtifactStore,
    used: BTreeSet<Digest>,
}

impl Named<'_> {
    /// Adds the content that arguments name. Most of it is output of the same run and was added above. Missing content
    /// uses nothing; an unreadable tree may use anything.
    fn add_arguments(&mut self, run: RunId, value: &Value) -> Result<(), MaintenanceError> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.add_arguments(run, item)),
            Value::Object(fields) => match serde_json::from_value::<ArtifactRef>(value.clone()) {
                Ok(artifact) if self.used.contains(&artifact.digest) => Ok(()),
                Ok(artifact) => self.add_content(&artifact).map_err(|source| {
                    let holder = format!("artifact {}, which an argument of run {run} names,", artifact.digest);
                    MaintenanceError::Unreadable { holder, source }
                }),
                Err(_) => fields.values().try_for_each(|field| self.add_arguments(run, field)),
            },
            _ => Ok(()),
        }
    }

    /// Adds a tree with all of its entries except missing ones.
    fn add_content(&mut self, artifact: &ArtifactRef) -> Result<(), ArtifactError> {
        self.used.insert(artifact.digest.clone());
        if !artifact.is_tree() {
            return Ok(());
        }
        match self.artifacts.read_tree(artifact) {
            Ok(tree) => tree.entries.values().try_for_each(|entry| self.add_content(entry)),
            Err(ArtifactError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
