//! The folder of the workflow file, where relative paths of a step start.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Variable with the folder, in every program.
pub(in crate::command) const PROJECT_DIR: &str = "STEPWELL_PROJECT_DIR";

/// Folder of the workflow file; empty if the workflow has no file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Project<'a>(pub &'a Path);

impl Project<'_> {
    pub(crate) fn is_known(self) -> bool {
        !self.0.as_os_str().is_empty()
    }

    /// Resolves a path: below the project if it exists there, else relative to the directory of the engine.
    pub(crate) fn find(self, path: &Path) -> PathBuf {
        let own = self.0.join(path);
        if path.is_absolute() || !own.exists() { path.to_owned() } else { own }
    }

    /// The path below the project, if it exists there.
    pub(crate) fn own(self, path: &Path) -> Option<PathBuf> {
        let is_below = self.is_known() && path.is_relative() && !path.as_os_str().is_empty();
        Some(self.0.join(path)).filter(|own| is_below && own.exists())
    }

    /// Absolute path of the project, or of the directory of the engine for a workflow without a file.
    pub(crate) fn folder(self) -> PathBuf {
        if self.is_known() { self.0.to_owned() } else { std::env::current_dir().unwrap_or_default() }
    }

    /// Describes where relative paths start, for messages.
    pub(crate) fn start_of_paths(self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        if self.is_known() && self.0 != here {
            return format!(
                "the folder of the workflow file, `{}`, or else at the directory of the engine, `{}`",
                self.0.display(),
                here.display()
            );
        }
        let what = if self.is_known() { "the folder of the workflow file" } else { "the directory of the engine" };
        format!("{what}, `{}`", here.display())
    }
}

/// Files of the project that a shell script names with the variable, such as `$STEPWELL_PROJECT_DIR/train.py`.
pub(in crate::command) fn named_by_variable(script: &str) -> impl Iterator<Item = &Path> {
    const ENDS: [char; 14] = [' ', '\t', '\n', ';', '|', '&', '(', ')', '<', '>', '`', '"', '\'', '$'];
    script.split(PROJECT_DIR).skip(1).filter_map(|rest| {
        let rest = rest.trim_start_matches(['}', '"', '\'']).strip_prefix('/')?;
        let name = rest.split(ENDS).next().filter(|name| !name.is_empty())?;
        Some(Path::new(OsStr::new(name)))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_path_is_looked_for_in_the_project_first() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        let project = Project(folder.path());
        assert_eq!(project.find(Path::new("Cargo.toml")), folder.path().join("Cargo.toml"));
        assert_eq!(project.find(Path::new("src")), Path::new("src"), "only in the directory of the engine");
        assert_eq!(project.find(Path::new("/etc")), Path::new("/etc"));
        assert_eq!(project.own(Path::new("src")), None);
        assert_eq!(Project(Path::new("")).own(Path::new("Cargo.toml")), None, "the workflow has no file");
    }

    #[test]
    fn files_behind_the_variable_are_found_in_every_spelling() {
        let script = "python3 $STEPWELL_PROJECT_DIR/a.py; cat \"$STEPWELL_PROJECT_DIR\"/b/c.txt '${STEPWELL_PROJECT_DIR}/d'\n\
                      cd $STEPWELL_PROJECT_DIR && ls $STEPWELL_PROJECT_DIR/";
        let found: Vec<&Path> = named_by_variable(script).collect();
        assert_eq!(found, ["a.py", "b/c.txt", "d"].map(Path::new));
    }
}
