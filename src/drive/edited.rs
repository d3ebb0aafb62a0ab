//! Says that a workflow file was edited after its run was submitted: the run keeps what it was submitted with.

use std::path::{Path, PathBuf};

use super::workflow_source::read;
use crate::session::Session;
use stepwell_base::artifact::Digest;
use stepwell_base::shell;
use stepwell_run::project::{Project, WorkflowFile};

/// Prints a note if the file of the run has another text than at the submission. Of a file that is gone or unreadable, there
/// is nothing to say.
pub fn say_if_edited(session: &Session, project: Option<&Project>) {
    if let Some(path) = project.and_then(edited) {
        session.out.message(&note(&path));
    }
}

fn note(path: &Path) -> String {
    let run = shell::stepwell("run", [&*path.to_string_lossy()]);
    format!(
        "note: `{}` has changed since this run was submitted; the run keeps the workflow that it was submitted with, and {run} \
         starts the edited one",
        path.display()
    )
}

/// How a person mends a run that failed: its file, edited, starts a run that reuses what has succeeded.
pub fn repair(project: &Project) -> Option<String> {
    let WorkflowFile { name, .. } = project.file.as_deref()?;
    let path = project.folder.join(name);
    let path = if path.is_file() { from_here(path) } else { return None };
    let shown = path.to_string_lossy();
    let run = shell::stepwell("run", [&*shown]);
    Some(format!("to mend it, edit `{shown}` or the script, then {run}: steps that are equal are reused"))
}

/// The path of the file, relative to the directory of the process where possible, if its text has changed.
fn edited(project: &Project) -> Option<PathBuf> {
    let WorkflowFile { name, digest } = project.file.as_deref()?;
    let path = project.folder.join(name);
    let text = read(&path).ok()?.text;
    if Digest::of(text.as_bytes()) == *digest {
        return None;
    }
    Some(from_here(path))
}

/// The path relative to the directory of the process, if it lies below.
fn from_here(path: PathBuf) -> PathBuf {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    short.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_edited_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.toml");
        std::fs::write(&path, "name = \"w\"\n").unwrap();
        let file = Some(Box::new(WorkflowFile { name: "w.toml".to_owned(), digest: Digest::of(b"name = \"w\"\n") }));
        let project = Project { file, ..Project::new(dir.path().to_owned()) };
        assert_eq!(edited(&project), None);
        std::fs::write(&path, "name = \"v\"\n").unwrap();
        assert_eq!(edited(&project), Some(path.clone()));
        assert_eq!(
            note(Path::new("my w.toml")),
            "note: `my w.toml` has changed since this run was submitted; the run keeps the workflow that it was submitted with, \
             and `stepwell run 'my w.toml'` starts the edited one"
        );
        assert_eq!(edited(&Project { file: None, ..project.clone() }), None, "a run of an older build");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(edited(&project), None);
    }
}
