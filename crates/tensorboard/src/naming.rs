//! Names of event files. Readers take the files of a folder in the order of their names.

/// What every event file's name starts with.
const START: &str = "events.out.tfevents.";
/// In place of a host name, to tell our files from others.
const WRITER: &str = ".stepwell.";

/// The name of a new file that comes after all of `names`.
pub(crate) fn next<'n>(names: impl Iterator<Item = &'n str>, seconds: u64, process: u32) -> String {
    // A clock that was set back must not put a new file in front of an old one.
    let newest = names.filter_map(seconds_of).max();
    let seconds = newest.map_or(seconds, |newest| seconds.max(newest + 1));
    format!("{START}{seconds:010}{WRITER}{process}.0")
}

/// True for the files that this crate has written.
pub(crate) fn is_ours(name: &str) -> bool {
    seconds_of(name).is_some()
}

fn seconds_of(name: &str) -> Option<u64> {
    let (seconds, _) = name.strip_prefix(START)?.split_once(WRITER)?;
    seconds.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_making() {
        let first = next(std::iter::empty(), 1_800_000_000, 7);
        assert_eq!(first, "events.out.tfevents.1800000000.stepwell.7.0");
        let second = next([first.as_str()].into_iter(), 5, 8);
        assert_eq!(second, "events.out.tfevents.1800000001.stepwell.8.0");
        assert!(second > first && is_ours(&first));
        assert!(!is_ours("events.out.tfevents.1800000000.host.7.0") && !is_ours("notes.txt"));
    }
}
