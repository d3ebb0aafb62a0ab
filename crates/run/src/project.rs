//! The folder of a person's workflow file and scripts, and its Git state, as they were at the submission.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use stepwell_base::artifact::Digest;

/// Digits of a commit that people see.
const SHORT_COMMIT: usize = 12;

/// Recorded with a run. Step keys do not cover it: they have the content of files, so a moved folder repeats nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Project {
    /// Absolute path of the folder of the workflow file.
    #[serde(with = "stepwell_base::path_text")]
    pub folder: PathBuf,
    /// `None` in runs of older builds, and of workflows that another one starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<WorkflowFile>>,
    /// `None` outside of Git, or where `git` is missing or did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
}

/// The workflow file of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkflowFile {
    /// Its name in the folder.
    pub name: String,
    /// Digest of its text.
    pub digest: Digest,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GitState {
    /// Full id of the commit that is checked out.
    pub commit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncommitted: Option<Uncommitted>,
}

/// Changes of the folder that are not in the commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Uncommitted {
    /// Number of changed and of untracked files below the folder.
    pub files: u64,
    /// Digest of the output of `git diff` against the commit; `None` if it was too large, or only untracked files exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Digest>,
}

impl Project {
    pub fn new(folder: PathBuf) -> Project {
        Project { folder, file: None, git: None }
    }

    /// One line for people: the folder, the commit, and the number of files that are not in it.
    pub fn line(&self) -> String {
        let folder = self.folder.display();
        let Some(GitState { commit, branch, uncommitted }) = &self.git else { return folder.to_string() };
        let commit: String = commit.chars().take(SHORT_COMMIT).collect();
        let branch = branch.as_ref().map(|branch| format!(" ({branch})")).unwrap_or_default();
        let uncommitted = match uncommitted.as_ref().map(|uncommitted| uncommitted.files) {
            None => String::new(),
            Some(1) => ", 1 file uncommitted".to_owned(),
            Some(files) => format!(", {files} files uncommitted"),
        };
        format!("{folder} at commit {commit}{branch}{uncommitted}")
    }

    /// The project of a workflow that this one starts, whose file is in `folder`.
    pub fn of_child(&self, folder: &Path) -> Project {
        Project { folder: folder.to_owned(), file: None, git: self.git.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_one_line() {
        let mut project = Project::new(PathBuf::from("/lab/gpt"));
        assert_eq!(project.line(), "/lab/gpt");
        project.git = Some(GitState { commit: "0123456789abcdef".to_owned(), branch: None, uncommitted: None });
        assert_eq!(project.line(), "/lab/gpt at commit 0123456789ab");
        let git = project.git.as_mut().unwrap();
        git.branch = Some("main".to_owned());
        git.uncommitted = Some(Uncommitted { files: 2, diff: None });
        assert_eq!(project.line(), "/lab/gpt at commit 0123456789ab (main), 2 files uncommitted");
    }
}
