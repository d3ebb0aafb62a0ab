//! The repository as the rules see it.

use std::fs;
use std::io;
use std::path::Path;

use crate::manifest::Manifest;
use crate::module_tree::{ModuleTree, trees};
use crate::source::Source;

/// All source files and manifests of the workspace.
pub struct House {
    pub(crate) sources: Vec<Source>,
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) trees: Vec<ModuleTree>,
}

impl House {
    /// Reads `src/`, `crates/*/src/` and every `Cargo.toml` under `root`.
    ///
    /// # Errors
    /// The file or folder that cannot be read.
    pub fn read(root: &Path) -> io::Result<House> {
        let mut files = vec![("Cargo.toml".to_owned(), fs::read_to_string(root.join("Cargo.toml"))?)];
        collect(root, "src", &mut files)?;
        let mut members: Vec<_> = fs::read_dir(root.join("crates"))?.collect::<Result<_, _>>()?;
        members.sort_by_key(fs::DirEntry::file_name);
        for member in members {
            let member = format!("crates/{}", member.file_name().to_string_lossy());
            let manifest = format!("{member}/Cargo.toml");
            if let Ok(text) = fs::read_to_string(root.join(&manifest)) {
                files.push((manifest, text));
                collect(root, &format!("{member}/src"), &mut files)?;
            }
        }
        Ok(House::of(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))))
    }

    /// The rules' view of these files: each a path from the root and a text.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> House {
        let (manifests, sources): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(path, _)| path.ends_with("Cargo.toml"));
        let manifests = manifests.into_iter().map(|(path, text)| Manifest::parse(path, text)).collect();
        let mut sources: Vec<Source> = sources.into_iter().map(|(path, text)| Source::new(path, text)).collect();
        let trees = trees(&mut sources);
        House { sources, manifests, trees }
    }

    /// Number of source files, tests included.
    pub fn size(&self) -> usize {
        self.sources.len()
    }

    /// Files that the program is built from.
    pub(crate) fn program(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| !source.is_test)
    }
}

fn collect(root: &Path, folder: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(folder))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if path.ends_with(".rs") {
            files.push((path, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}
