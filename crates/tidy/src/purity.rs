//! Calls that pure crates may not make.

use crate::{House, Problems};

/// Crates whose results depend on arguments only, with the files that are exempt.
const PURE: &[(&str, &[&str])] =
    &[("base", &["crates/base/src/faults.rs"]), ("workflow", &[]), ("run", &[]), ("batch", &[]), ("statistics", &[])];
/// Files, networks, processes, threads and clocks.
const OUTSIDE: &[&str] =
    &["std::fs", "std::net", "std::process", "std::thread", "SystemTime", "Instant::now", "Timestamp::now"];

/// Pure crates take times as arguments and leave the outside world alone.
pub fn pure_crates_are_pure(house: &House) -> Problems {
    let mut problems = Vec::new();
    for source in house.program() {
        let pure = PURE.iter().find(|(member, _)| *member == source.member);
        if pure.is_none_or(|(_, exempt)| exempt.contains(&source.path.as_str())) {
            continue;
        }
        for (index, line) in source.text.bare.lines().enumerate() {
            if let Some(word) = OUTSIDE.iter().find(|word| line.contains(**word)) {
                problems.push(format!("{}:{}: `{word}` in a pure crate", source.path, index + 1));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::pure_crates_are_pure;
    use crate::House;

    #[test]
    fn a_clock_in_a_pure_crate_is_found() {
        let text =
            "// Instant::now\nuse std::fs;\nfn a() { Timestamp::now() }\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        let house = House::of([("crates/run/src/lib.rs", text), ("crates/store/src/lib.rs", text)]);
        let expected = [
            "crates/run/src/lib.rs:2: `std::fs` in a pure crate",
            "crates/run/src/lib.rs:3: `Timestamp::now` in a pure crate",
        ];
        assert_eq!(pure_crates_are_pure(&house), expected);
    }
}
