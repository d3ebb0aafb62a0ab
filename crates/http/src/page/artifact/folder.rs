//! One level of a folder artifact: what is directly in it, folders first.

use std::collections::BTreeMap;

use stepwell_base::artifact::ArtifactRef;

/// What is directly in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Names of folders, with the files in them and their size.
    pub folders: Vec<(String, u64, u64)>,
    /// Names of files, with their place in the whole artifact.
    pub files: Vec<(String, usize, ArtifactRef)>,
}

/// The level at `at`, a path such as `a/b` or nothing; empty if there is no such folder. Paths are only compared.
pub fn level(entries: &[(String, ArtifactRef)], at: &str) -> Level {
    let mut folders: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut files = Vec::new();
    for (index, (path, artifact)) in entries.iter().enumerate() {
        let inside = match at {
            "" => Some(path.as_str()),
            at => path.strip_prefix(at).and_then(|rest| rest.strip_prefix('/')),
        };
        match inside.map(|inside| (inside, inside.split_once('/'))) {
            None => {}
            Some((_, Some((folder, _)))) => {
                let (count, size) = folders.entry(folder).or_default();
                *count += 1;
                *size += artifact.size;
            }
            Some((name, None)) => files.push((name.to_owned(), index, artifact.clone())),
        }
    }
    let folders = folders.into_iter().map(|(name, (count, size))| (name.to_owned(), count, size));
    Level { folders: folders.collect(), files }
}

#[cfg(test)]
mod tests {
    use stepwell_base::artifact::Digest;

    use super::*;

    #[test]
    fn a_level_has_folders_and_files() {
        let file = |path: &str, size| {
            let artifact =
                ArtifactRef { digest: Digest::of(path.as_bytes()), size, media_type: "text/plain".to_owned() };
            (path.to_owned(), artifact)
        };
        let entries = [file("a/b/one", 1), file("a/b/two", 2), file("a/three", 3), file("ab/four", 4), file("five", 5)];
        let shown = |at: &str| {
            let Level { folders, files } = level(&entries, at);
            (folders, files.into_iter().map(|(name, index, _)| (name, index)).collect::<Vec<_>>())
        };
        let folder = |name: &str, count, size| (name.to_owned(), count, size);
        assert_eq!(shown(""), (vec![folder("a", 3, 6), folder("ab", 1, 4)], vec![("five".to_owned(), 4)]));
        assert_eq!(shown("a"), (vec![folder("b", 2, 3)], vec![("three".to_owned(), 2)]));
        assert_eq!(shown("a/b").1.len(), 2);
        assert_eq!(level(&entries, "../a"), Level::default());
        assert_eq!(level(&entries, "none"), Level::default());
    }
}
