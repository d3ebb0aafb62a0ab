//! Reads files in a state directory, and files about it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::probe::survives;
use stepwell_artifact::Tree;
use stepwell_run::provenance::Provenance;
use stepwell_store::check_head_content;

/// Checks the manifest of a tree. An accepted manifest stays below its target folder and is written back unchanged.
pub(super) fn manifest(data: &[u8]) {
    let Ok(tree) = Tree::decode(data) else { return };
    let bytes = tree.encode().expect("what was read can be written");
    assert_eq!(Tree::decode(&bytes).expect("what was written can be read"), tree);
    let mut folders: BTreeMap<&Path, &str> = BTreeMap::new();
    for path in tree.entries.keys() {
        let parts: Vec<_> = Path::new(path).components().collect();
        assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "`{path}` leads elsewhere");
        assert_eq!(parts.len(), path.split('/').count(), "`{path}` has another form");
        assert!(!folders.contains_key(Path::new(path)), "`{path}` is a file and a folder");
        folders.extend(Path::new(path).ancestors().skip(1).map(|folder| (folder, path.as_str())));
    }
}

/// Checks the content of `event-head`.
pub(super) fn head(data: &[u8]) {
    check_head_content(data);
}

/// Checks a provenance manifest. Any content can be checked, and writing it changes nothing.
pub(super) fn provenance(data: &[u8]) {
    let Ok(manifest) = Provenance::read(data) else { return };
    drop(manifest.problems());
    survives(&manifest);
}
