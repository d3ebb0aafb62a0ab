//! Files that a program leaves although no `outputs` names them: they go with its working directory, so that is said.

use std::fs;
use std::path::Path;

/// Most files to name.
const MOST_NAMED: usize = 5;
/// Most entries of folders to look at.
const MOST_ENTRIES: usize = 1000;
/// Folders below a place to look into.
const DEPTH: usize = 2;
/// Most characters of a name to print.
const NAME_CHARACTERS: usize = 80;

/// A file by its name below the place where it lies, with its size in bytes.
struct Left {
    name: String,
    bytes: u64,
}

/// A note about the files in `places`, the largest first; `None` without any. Hidden and empty files do not count.
pub(in crate::command) fn note_of(places: &[&Path]) -> Option<String> {
    let mut left = Vec::new();
    let mut budget = MOST_ENTRIES;
    for place in places {
        list(place, "", DEPTH, &mut budget, &mut left);
    }
    left.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    let largest = left.first()?;
    let named: Vec<String> = left.iter().take(MOST_NAMED).map(Left::text).collect();
    let more = match left.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (files, pronoun) = if left.len() == 1 { ("a file", "it goes") } else { ("files", "they go") };
    Some(format!(
        "it left {files} that no `outputs` names: {}{more}; {pronoun} with the working directory; to keep one, add \
         `outputs = {{ {} = {} }}` to the step",
        named.join(", "),
        key(&largest.name),
        serde_json::Value::from(largest.name.as_str()),
    ))
}

fn list(folder: &Path, prefix: &str, depth: usize, budget: &mut usize, left: &mut Vec<Left>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(rest) = budget.checked_sub(1) else { return };
        *budget = rest;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.') && *name != "__pycache__") else {
            continue;
        };
        let Ok(metadata) = entry.metadata() else { continue };
        let name = format!("{prefix}{name}");
        if metadata.is_dir() && depth > 0 {
            list(&entry.path(), &format!("{name}/"), depth - 1, budget, left);
        } else if metadata.is_file() && metadata.len() > 0 {
            left.push(Left { name, bytes: metadata.len() });
        }
    }
}

impl Left {
    fn text(&self) -> String {
        let name: String = self.name.chars().take(NAME_CHARACTERS).collect();
        format!("`{name}` ({})", size(self.bytes))
    }
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        1 => "1 byte".to_owned(),
        0..KIB => format!("{bytes} bytes"),
        KIB..MIB => format!("{:.1} KiB", bytes as f64 / KIB as f64),
        _ => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}

/// The name of an output for a file: letters, digits and `_` of its stem.
fn key(file: &str) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let key: String = stem.chars().map(plain).take(40).collect();
    let key = key.trim_matches('_');
    if key.is_empty() { "result".to_owned() } else { key.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named_with_its_size_and_the_line_that_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(note_of(&[dir.path()]), None);
        for (name, bytes) in [(".cache", 9), ("empty", 0)] {
            std::fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(note_of(&[dir.path(), &dir.path().join("missing")]), None);
        std::fs::write(dir.path().join("my-model.pt"), vec![0; 2048]).unwrap();
        assert_eq!(
            note_of(&[dir.path()]).unwrap(),
            "it left a file that no `outputs` names: `my-model.pt` (2.0 KiB); it goes with the working directory; to keep \
             one, add `outputs = { my_model = \"my-model.pt\" }` to the step"
        );
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        for index in 0..6 {
            std::fs::write(dir.path().join(format!("logs/{index}")), "x").unwrap();
        }
        let note = note_of(&[dir.path()]).unwrap();
        assert!(note.contains("`my-model.pt` (2.0 KiB), `logs/0` (1 byte)"), "{note}");
        assert!(note.contains("`logs/3` (1 byte) and 2 more; they go with"), "{note}");
    }
}
