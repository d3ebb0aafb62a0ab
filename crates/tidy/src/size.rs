//! Limits for the length of a file and the number of files in a folder.

use std::collections::BTreeMap;

use crate::{House, Problems};

/// A file is one idea. 150 lines are typical, and 500 ask for a reason.
const MAX_LINES: usize = 600;
/// A longer list of files hides two ideas.
const MAX_FILES: usize = 15;

/// Folders that hold more, and how many files each may have. The list and its numbers only shrink.
const ACCEPTED: &[(&str, usize)] = &[("crates/steps/src", 18), ("crates/steps/src/command", 19)];

/// No file outside of tests has more than 600 lines.
pub fn files_are_short(house: &House) -> Problems {
    let lines = house.program().map(|source| (source, source.whole.written.lines().count()));
    let long = lines.filter(|(_, lines)| *lines > MAX_LINES);
    long.map(|(source, lines)| format!("{}: {lines} lines, at most {MAX_LINES}", source.path)).collect()
}

/// No folder has more than 15 source files outside of tests.
pub fn folders_are_short(house: &House) -> Problems {
    judge(house, ACCEPTED)
}

fn judge(house: &House, accepted: &[(&str, usize)]) -> Problems {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for source in house.program().filter(|source| !source.is_contents()) {
        *folders.entry(source.folder()).or_default() += 1;
    }
    let limit = |folder: &str| accepted.iter().find(|(name, _)| *name == folder).map_or(MAX_FILES, |(_, limit)| *limit);
    let full = folders.iter().filter(|(folder, files)| **files > limit(folder));
    let mut problems: Vec<String> =
        full.map(|(folder, files)| format!("{folder}: {files} source files, at most {}", limit(folder))).collect();
    for (folder, _) in accepted {
        if folders.get(folder).is_none_or(|files| *files <= MAX_FILES) {
            problems.push(format!("{folder}: at most {MAX_FILES} source files now; remove it from ACCEPTED"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{files_are_short, judge};
    use crate::House;

    #[test]
    fn a_long_file_is_found_unless_only_tests_have_it() {
        let long = "\n".repeat(601);
        let files = [
            ("crates/x/src/lib.rs", "mod a;\n#[cfg(test)]\nmod b;\n"),
            ("crates/x/src/a.rs", long.as_str()),
            ("crates/x/src/b.rs", long.as_str()),
        ];
        assert_eq!(files_are_short(&House::of(files)), ["crates/x/src/a.rs: 601 lines, at most 600"]);
    }

    #[test]
    fn a_full_folder_is_found_unless_accepted() {
        let names: Vec<String> = (0..16).map(|n| format!("crates/x/src/m{n}.rs")).collect();
        let root: String = (0..16).map(|n| format!("mod m{n};")).collect();
        let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        files.push(("crates/x/src/lib.rs", &root));
        let house = House::of(files);
        assert_eq!(judge(&house, &[]), ["crates/x/src: 16 source files, at most 15"]);
        assert!(judge(&house, &[("crates/x/src", 16)]).is_empty());
        let gone = judge(&house, &[("crates/x/src", 16), ("crates/x/src/gone", 20)]);
        assert_eq!(gone, ["crates/x/src/gone: at most 15 source files now; remove it from ACCEPTED"]);
    }
}
