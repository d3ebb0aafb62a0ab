//! Words that may not stay in the sources.

use crate::source::Source;
use crate::{House, Problems};

/// Notes to oneself, also in comments.
const LEFT_OVERS: &[&str] = &["TODO", "FIXME", "XXX"];
/// Where a lint against `unsafe` may be lifted: kernels, the thread team, the memory map, and code between fork and exec.
const MAY_BE_UNSAFE: &[&str] = &[
    "crates/thread-team/src/",
    "crates/train/src/",
    "crates/models/src/",
    "crates/inference/src/",
    "crates/steps/src/command/",
];

/// No notes to oneself.
pub fn no_left_overs(house: &House) -> Problems {
    each_line(
        house,
        |source| &source.text.written,
        |_, line| LEFT_OVERS.iter().find(|word| line.contains(**word)).map(|word| format!("`{word}`")),
    )
}

/// `expect` states why it cannot fail.
pub fn expect_has_a_reason(house: &House) -> Problems {
    each_line(
        house,
        |source| &source.text.code,
        |_, line| line.contains(".expect(\"\")").then(|| "`expect` without a reason".to_owned()),
    )
}

/// `unsafe` is allowed where it is audited only. The compiler refuses it everywhere else.
pub fn unsafe_stays_where_it_is_audited(house: &House) -> Problems {
    each_line(
        house,
        |source| &source.text.bare,
        |source, line| {
            let audited = MAY_BE_UNSAFE.iter().any(|path| source.path.starts_with(path));
            (line.contains("unsafe_code") && !audited).then(|| format!("`unsafe_code` outside of {MAY_BE_UNSAFE:?}"))
        },
    )
}

fn each_line(
    house: &House,
    text: impl Fn(&Source) -> &String,
    broken: impl Fn(&Source, &str) -> Option<String>,
) -> Problems {
    let mut problems = Vec::new();
    // The words of these rules stand in this file.
    for source in house.program().filter(|source| source.member != "tidy") {
        for (index, line) in text(source).lines().enumerate() {
            problems.extend(broken(source, line).map(|what| format!("{}:{}: {what}", source.path, index + 1)));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{expect_has_a_reason, no_left_overs, unsafe_stays_where_it_is_audited};
    use crate::House;

    const TEXT: &str = "// TODO: later\nfn a() { b.expect(\"\"); c.expect(\"set above\") }\n#![expect(unsafe_code)]\n#[cfg(test)]\nmod tests { fn d() { e.expect(\"\") } } // FIXME\n";

    #[test]
    fn planted_words_are_found() {
        let house = House::of([("crates/store/src/lib.rs", TEXT)]);
        assert_eq!(no_left_overs(&house), ["crates/store/src/lib.rs:1: `TODO`", "crates/store/src/lib.rs:5: `FIXME`"]);
        assert_eq!(expect_has_a_reason(&house), ["crates/store/src/lib.rs:2: `expect` without a reason"]);
        assert_eq!(unsafe_stays_where_it_is_audited(&house).len(), 1);
        let audited = House::of([("crates/train/src/lib.rs", TEXT)]);
        assert!(unsafe_stays_where_it_is_audited(&audited).is_empty());
    }
}
