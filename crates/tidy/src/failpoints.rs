//! Every change of the outside world can be made to fail in tests.

use crate::{House, Problems};

/// Home of the list `OPERATIONS` and of the macro `around!`.
const LIST: &str = "crates/base/src/faults.rs";
/// Crates whose writes are durable.
const DURABLE: &[&str] = &["store", "artifact", "engine"];
/// Calls that need a failpoint within four lines.
const CHANGES: &[&str] = &[".sync_all()", "fs::rename(", "fs::copy(", "fs::write(", ".spawn()", "transaction.commit()"];
/// Start of a comment, within the same lines, that says why a write has no failpoint.
const EXEMPT: &str = "No failpoint:";
const NEAR: usize = 4;

/// The list of failpoints is sorted and has each name of the sources once.
pub fn every_failpoint_is_listed_and_placed_once(house: &House) -> Problems {
    let Some(list) = house.sources.iter().find(|source| source.path == LIST) else {
        return vec![format!("{LIST}: not found")];
    };
    let names = list.text.code.split_once("OPERATIONS: &[&str] = &[").and_then(|(_, rest)| rest.split_once("];"));
    let listed: Vec<&str> = names.map_or(Vec::new(), |(names, _)| names.split('"').skip(1).step_by(2).collect());
    let mut problems: Vec<String> = listed
        .windows(2)
        .filter(|pair| pair[0] >= pair[1])
        .map(|pair| format!("{LIST}: `{}` must stand before `{}`", pair[1], pair[0]))
        .collect();
    let mut placed: Vec<(&str, String)> = Vec::new();
    for source in house.program().filter(|source| source.path != LIST && source.member != "tidy") {
        for (at, call) in source.text.code.match_indices("around!(") {
            let rest = source.text.code[at + call.len()..].trim_start();
            let name = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or_default();
            placed.push((name, source.place(at)));
        }
    }
    for (name, place) in &placed {
        if !listed.contains(name) {
            problems.push(format!("{place}: `{name}` is not in {LIST}"));
        }
        if placed.iter().filter(|(other, _)| other == name).count() > 1 {
            problems.push(format!("{place}: `{name}` stands in more than one place"));
        }
    }
    let gone = listed.iter().filter(|name| placed.iter().all(|(other, _)| other != *name));
    problems.extend(gone.map(|name| format!("{LIST}: no source has `{name}`")));
    problems
}

/// Each durable write, spawn and commit stands inside `around!`, or a comment says why not.
pub fn every_write_has_a_failpoint(house: &House) -> Problems {
    let mut problems = Vec::new();
    for source in house.program().filter(|source| DURABLE.contains(&source.member.as_str())) {
        let code: Vec<&str> = source.text.code.lines().collect();
        let written: Vec<&str> = source.text.written.lines().collect();
        for (index, line) in code.iter().enumerate().filter(|(_, line)| CHANGES.iter().any(|call| line.contains(call)))
        {
            let near = index.saturating_sub(NEAR)..code.len().min(index + NEAR + 1);
            let has = |lines: &[&str], word: &str| lines[near.clone()].iter().any(|line| line.contains(word));
            if !has(&code, "around!(") && !has(&written, EXEMPT) {
                let place = format!("{}:{}", source.path, index + 1);
                problems.push(format!("{place}: neither `around!` nor `// {EXEMPT} why`: {}", line.trim()));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{LIST, every_failpoint_is_listed_and_placed_once, every_write_has_a_failpoint};
    use crate::House;

    fn house(list: &str, code: &str) -> House {
        let list = format!("mod armed {{ pub const OPERATIONS: &[&str] = &[{list}]; }}");
        House::of([("crates/base/src/lib.rs", "mod faults;"), (LIST, &list), ("crates/store/src/lib.rs", code)])
    }

    #[test]
    fn list_and_sources_must_agree() {
        let sound = "// around!(\"gone\")\nfn a() { around!(\"a.b\", c()) }\nfn d() { around!(\n\"e.f\", g()) }\n";
        assert!(every_failpoint_is_listed_and_placed_once(&house("\"a.b\", \"e.f\"", sound)).is_empty());
        let unsorted = every_failpoint_is_listed_and_placed_once(&house("\"e.f\", \"a.b\"", sound));
        assert_eq!(unsorted, [format!("{LIST}: `a.b` must stand before `e.f`")]);
        let unlisted = every_failpoint_is_listed_and_placed_once(&house("\"a.b\"", sound));
        assert_eq!(unlisted, [format!("crates/store/src/lib.rs:3: `e.f` is not in {LIST}")]);
        let gone = every_failpoint_is_listed_and_placed_once(&house("\"a.b\", \"e.f\", \"z\"", sound));
        assert_eq!(gone, [format!("{LIST}: no source has `z`")]);
        let twice =
            every_failpoint_is_listed_and_placed_once(&house("\"a.b\"", "around!(\"a.b\", 1);\naround!(\"a.b\", 2);"));
        assert_eq!(twice.len(), 2);
    }

    #[test]
    fn a_write_without_a_failpoint_is_found() {
        let far = "\n".repeat(5);
        let bare = format!("around!(\"x\", 1);{far}std::fs::write(path, text)?;{far}// No failpoint: far away\n");
        assert_eq!(every_write_has_a_failpoint(&house("", &bare)).len(), 1);
        let near = "around!(\n\"x\",\nfile.sync_all())\n";
        assert!(every_write_has_a_failpoint(&house("", near)).is_empty());
        let exempt = "// No failpoint: a scratch file.\nstd::fs::write(path, text)?;\n";
        assert!(every_write_has_a_failpoint(&house("", exempt)).is_empty());
    }
}
