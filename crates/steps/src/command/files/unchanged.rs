//! Makes sure that a program reads the same content that the step's key covers. The engine computes the key, the
//! program reads later, and others may write in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use stepwell_artifact::Stamp;
use stepwell_base::failure::Failure;

use super::inputs::file_digest;
use super::project::Project;

/// Upper bound on the time between the engine's check of a file and the worker's.
const SINCE_THE_KEY: Duration = Duration::from_secs(60);

/// Files in their state at the start of the program.
pub(in crate::command) struct Unchanged {
    inputs: Vec<File>,
    argv: Vec<File>,
}

struct File {
    path: PathBuf,
    digest: String,
    stamp: Option<Stamp>,
}

impl Unchanged {
    /// # Errors
    /// A retryable failure if a file has changed since the key was computed. For a later attempt only inputs are
    /// checked: earlier attempts may have written the files of `argv`.
    pub(in crate::command) fn start(
        fingerprint: &Value,
        project: Project<'_>,
        attempt: u32,
    ) -> Result<Unchanged, Failure> {
        let mut files = Unchanged { inputs: Vec::new(), argv: Vec::new() };
        for (group, files) in [("inputs", &mut files.inputs), ("argv", &mut files.argv)] {
            for (name, digests) in fingerprint[group].as_object().into_iter().flatten() {
                collect(&project.find(Path::new(name)), digests, files);
            }
        }
        let recent = |file: &&File| file.stamp.is_none_or(|stamp| stamp.is_within(SINCE_THE_KEY));
        let argv = if attempt > 1 { &[] } else { files.argv.as_slice() };
        match files.inputs.iter().chain(argv).filter(recent).find(|file| !file.has_its_content()) {
            Some(file) => Err(file.changed("after the key of the step was computed")),
            None => Ok(files),
        }
    }

    /// Checks the files after the program has succeeded. Returns changed files of `argv`: the program itself may have
    /// written them.
    ///
    /// # Errors
    /// A retryable failure if an input has changed: the program may have read either content.
    pub(in crate::command) fn end(&self) -> Result<Vec<&Path>, Failure> {
        if let Some(file) = self.inputs.iter().find(|file| file.was_written() && !file.has_its_content()) {
            return Err(file.changed("while the program ran"));
        }
        let written = self.argv.iter().filter(|file| file.was_written() && !file.has_its_content());
        Ok(written.map(|file| file.path.as_path()).collect())
    }
}

/// Collects files from nested digests: text for a file, an object for a folder.
fn collect(path: &Path, digests: &Value, files: &mut Vec<File>) {
    if let Some(digest) = digests.as_str() {
        files.push(File { stamp: stamp(path), path: path.to_owned(), digest: digest.to_owned() });
    }
    for (name, digests) in digests.as_object().into_iter().flatten() {
        collect(&path.join(name), digests, files);
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    path.metadata().ok().as_ref().map(Stamp::of)
}

impl File {
    fn was_written(&self) -> bool {
        self.stamp.is_none() || stamp(&self.path) != self.stamp
    }

    fn has_its_content(&self) -> bool {
        file_digest(&self.path).is_ok_and(|digest| digest.as_str() == self.digest)
    }

    fn changed(&self, when: &str) -> Failure {
        Failure::retryable(format!("the input `{}` changed {when}", self.path.display()))
            .with_hint("the next attempt starts from the beginning with the new content; leave it alone meanwhile")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use stepwell_base::artifact::Digest;
    use stepwell_base::failure::FailureKind;

    #[test]
    fn a_changed_input_is_a_failure_and_a_written_argument_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        for name in ["folder/a", "folder/b", "script", "out"] {
            fs::write(at(name), "one").unwrap();
        }
        let one = Digest::of(b"one").as_str().to_owned();
        let fingerprint = json!({
            "inputs": { at("folder").display().to_string(): { "a": one, "b": one } },
            "argv": { at("script").display().to_string(): one, at("out").display().to_string(): one },
        });
        let unchanged = Unchanged::start(&fingerprint, Project(Path::new("")), 1).unwrap();
        fs::write(at("folder/new"), "a cache of the program").unwrap();
        fs::write(at("folder/a"), "one").unwrap();
        fs::write(at("out"), "two").unwrap();
        assert_eq!(unchanged.end().unwrap(), [at("out")]);
        fs::write(at("folder/b"), "two").unwrap();
        let failure = unchanged.end().unwrap_err();
        assert!(failure.message.contains("folder/b` changed while the program ran"), "{failure}");
        assert_eq!(failure.kind, FailureKind::Retryable);
        let failure = Unchanged::start(&fingerprint, Project(Path::new("")), 1).err().unwrap();
        assert!(failure.message.contains("folder/b` changed after the key"), "{failure}");
        fs::remove_file(at("folder/b")).unwrap();
        assert!(unchanged.end().is_err() && Unchanged::start(&fingerprint, Project(Path::new("")), 1).is_err());
        assert_eq!(
            Unchanged::start(&Value::Null, Project(Path::new("")), 1).unwrap().end().unwrap(),
            Vec::<&Path>::new()
        );
    }
}
