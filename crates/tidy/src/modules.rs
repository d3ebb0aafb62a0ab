//! Rules for module files.

use crate::{House, Problems};

/// Files that hold logic still. The list only shrinks.
const ACCEPTED: &[&str] = &[];

/// A module names every file: cargo ignores a file that none names.
pub fn every_file_has_a_module(house: &House) -> Problems {
    let lost = house.sources.iter().filter(|source| !source.is_reached);
    lost.map(|source| format!("{}: no `mod` names this file, so nothing compiles it", source.path)).collect()
}

/// `mod.rs` and `lib.rs` are tables of contents: they declare modules and re-export.
pub fn module_files_only_re_export(house: &House) -> Problems {
    judge(house, ACCEPTED)
}

fn judge(house: &House, accepted: &[&str]) -> Problems {
    let mut problems: Vec<String> = Vec::new();
    let contents = house.program().filter(|source| source.is_contents() && source.file_name() != "main.rs");
    for source in contents {
        for (index, line) in source.text.bare.lines().enumerate() {
            let item = line.trim_start();
            let item = item.strip_prefix("pub").map_or(item, |rest| {
                let rest = rest.trim_start();
                rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest).trim_start()
            });
            if item.starts_with("fn ") || item.starts_with("impl ") || item.starts_with("impl<") {
                problems.push(format!("{}:{}: logic in a file that only re-exports", source.path, index + 1));
            }
        }
    }
    let is_broken = |file: &str| problems.iter().any(|problem| problem.starts_with(file));
    let unused: Vec<&&str> = accepted.iter().filter(|file| !is_broken(file)).collect();
    let unused: Vec<String> =
        unused.iter().map(|file| format!("{file}: only re-exports; remove it from ACCEPTED")).collect();
    problems.retain(|problem| !accepted.iter().any(|file| problem.starts_with(file)));
    problems.extend(unused);
    problems
}

#[cfg(test)]
mod tests {
    use super::{every_file_has_a_module, judge};
    use crate::House;

    #[test]
    fn a_file_without_a_module_is_found() {
        let house =
            House::of([("crates/x/src/lib.rs", "mod a;"), ("crates/x/src/a.rs", ""), ("crates/x/src/b.rs", "")]);
        let problems = every_file_has_a_module(&house);
        assert_eq!(problems, ["crates/x/src/b.rs: no `mod` names this file, so nothing compiles it"]);
    }

    #[test]
    fn logic_in_a_module_file_is_found() {
        let lib = "mod a;\npub use a::f;\n#[cfg(test)]\nmod tests { fn g() {} }\npub(crate) fn h() {}\n";
        let house =
            House::of([("src/lib.rs", lib), ("src/a/mod.rs", "impl<T> X for T {}"), ("src/main.rs", "fn main() {}")]);
        let expected = [
            "src/lib.rs:5: logic in a file that only re-exports",
            "src/a/mod.rs:1: logic in a file that only re-exports",
        ];
        assert_eq!(judge(&house, &[]), expected);
        let problems = judge(&house, &["src/lib.rs", "src/b/mod.rs"]);
        assert_eq!(problems, [expected[1], "src/b/mod.rs: only re-exports; remove it from ACCEPTED"]);
    }
}
