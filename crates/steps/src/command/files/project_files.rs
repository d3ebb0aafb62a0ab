//! Files for `for_each = "glob('data/*.txt')"`, in the folder of the workflow file.

use std::path::{Path, PathBuf};

use crate::corpus_import::{Findings, Pattern, Walk};
use stepwell_workflow::template::Files;

/// Maximum number of files and folders to visit: the engine evaluates `for_each` and must stay free for other runs.
const MOST_ENTRIES: usize = 200_000;

/// Lists files relative to a folder.
#[derive(Debug)]
pub struct ProjectFiles(PathBuf);

impl ProjectFiles {
    /// An empty path stands for the current directory.
    pub fn new(folder: &Path) -> ProjectFiles {
        ProjectFiles(folder.to_owned())
    }
}

impl Files for ProjectFiles {
    /// Returns names relative to the folder, sorted by their bytes; skips hidden files.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let folder =
            std::path::absolute(&self.0).or_else(|_| std::env::current_dir()).map_err(|error| error.to_string())?;
        let escaped = folder.to_str().ok_or("the path of the folder is not UTF-8").map(escaped)?;
        let whole = if Path::new(pattern).is_absolute() { pattern.to_owned() } else { format!("{escaped}/{pattern}") };
        let compiled = Pattern::compile(&whole).map_err(|failure| failure.message)?;
        let mut findings = Findings::default();
        let found = match compiled.base().is_dir() {
            true => Walk::bounded(compiled.base(), Some(&compiled), &mut findings, MOST_ENTRIES)
                .map_err(|error| format!("`{pattern}` in `{}`: {error}", folder.display()))?,
            // Without a wildcard the base is the file itself.
            false => Some(compiled.base().to_owned()).filter(|path| path.is_file()).into_iter().collect(),
        };
        if let Some(skipped) = findings.lines().first() {
            return Err(format!("`{pattern}` in `{}`: {skipped}", folder.display()));
        }
        let name = |path: PathBuf| {
            let relative = path.strip_prefix(&folder).unwrap_or(&path);
            relative
                .to_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("the name `{}` is not UTF-8", relative.display()))
        };
        let mut names: Vec<String> = found.into_iter().map(name).collect::<Result<_, _>>()?;
        names.sort();
        if names.is_empty() {
            return Err(format!("`{pattern}` matches no file in `{}`", folder.display()));
        }
        Ok(names)
    }
}

/// The path as a pattern that matches only itself.
fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_are_sorted_and_relative_to_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "odd [x]{y}"] {
            let project = dir.path().join(name);
            fs::create_dir_all(project.join("data/sub")).unwrap();
            for name in ["data/b.txt", "data/a.txt", "data/sub/c.txt", "data/.hidden.txt", "top.txt", "data/a.csv"] {
                fs::write(project.join(name), "x").unwrap();
            }
            let files = ProjectFiles::new(&project);
            assert_eq!(files.glob("data/*.txt").unwrap(), ["data/a.txt", "data/b.txt"]);
            assert_eq!(files.glob("./data/**/*.txt").unwrap(), ["data/a.txt", "data/b.txt", "data/sub/c.txt"]);
            assert_eq!(files.glob("*.{txt,csv}").unwrap(), ["top.txt"]);
            assert_eq!(files.glob("top.txt").unwrap(), ["top.txt"]);
            assert!(files.glob("*.json").unwrap_err().contains("`*.json` matches no file in `"));
            assert!(files.glob("data/[").is_err());
            symlink("nowhere", project.join("data/z.txt")).unwrap();
            assert!(files.glob("data/*.txt").unwrap_err().contains("z.txt is a link to nothing"));
        }
    }
}
