//! Names that people give to runs and schedules.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

use super::ids::{RunId, StepId};
use super::text::visible::is_hidden;

/// Maximum bytes of a name that a person gives.
const LONGEST: usize = 200;
/// Maximum bytes of the name of a series.
const LONGEST_OF_SERIES: usize = 64;
/// Maximum bytes of a name in a path, which leaves room for an id and an extension.
const LONGEST_IN_PATH: usize = 150;
/// Stands for the newest run where a command expects a run.
const NEWEST: &str = "last";

/// The name of a run to submit. `FromStr` checks names that people give; the constructors make all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunName(String);

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidName {
    #[error("a name has at least one character")]
    Empty,
    #[error("a name has at most {LONGEST} bytes, this one has {0}")]
    TooLong(usize),
    #[error("the name of a series has at most {LONGEST_OF_SERIES} bytes, this one has {0}")]
    TooLongForSeries(usize),
    #[error("a name cannot hold `{}`", .0.escape_default())]
    Character(char),
    #[error("a name cannot start with `{0}`")]
    Start(char),
    #[error("a name cannot end with a space")]
    End,
    #[error("`{NEWEST}` means the newest run and cannot be a name")]
    Newest,
    #[error("a name cannot have the form of a run's id")]
    Id,
}

impl FromStr for RunName {
    type Err = InvalidName;

    /// Allows characters of all scripts, digits, spaces and signs; rejects path separators, invisible characters and
    /// command-line syntax.
    fn from_str(text: &str) -> Result<RunName, InvalidName> {
        let wrong = |c: char| matches!(c, '/' | '\\') || is_hidden(c) || c.is_whitespace() && c != ' ';
        if text.len() > LONGEST {
            return Err(InvalidName::TooLong(text.len()));
        }
        if let Some(c) = text.chars().find(|c| wrong(*c)) {
            return Err(InvalidName::Character(c));
        }
        match text.chars().next() {
            None => Err(InvalidName::Empty),
            Some(c @ ('-' | '.' | ' ')) => Err(InvalidName::Start(c)),
            Some(_) if text.ends_with(' ') => Err(InvalidName::End),
            Some(_) if text == NEWEST => Err(InvalidName::Newest),
            Some(_) if Uuid::try_parse(text).is_ok() => Err(InvalidName::Id),
            Some(_) => Ok(RunName(text.to_owned())),
        }
    }
}

impl RunName {
    /// Names one of several runs.
    pub fn numbered(base: &str, number: u64) -> RunName {
        RunName(format!("{base}-{number}"))
    }

    /// Names the run that a step starts.
    pub fn child(parent: &str, step: &StepId) -> RunName {
        RunName(format!("{parent}.{step}"))
    }

    /// Names the run that a schedule starts at one of its times.
    pub fn scheduled(schedule: &str, due: Timestamp) -> RunName {
        RunName(format!("{schedule}-{due}"))
    }

    /// Returns an alternative for a name that an active run of a person holds.
    pub fn made_unique(&self, id: RunId) -> RunName {
        RunName(format!("{self}-{id}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a name that is shown and typed but is neither a path nor a run name.
///
/// # Errors
/// `Empty`, `TooLong`, `Character`.
pub fn check_label(text: &str) -> Result<(), InvalidName> {
    match text.chars().find(|c| is_hidden(*c)) {
        _ if text.is_empty() => Err(InvalidName::Empty),
        _ if text.len() > LONGEST => Err(InvalidName::TooLong(text.len())),
        Some(c) => Err(InvalidName::Character(c)),
        None => Ok(()),
    }
}

/// Checks the name of a series that a program reports, such as `val_loss` or `eval/top-1`.
///
/// # Errors
/// `Empty`, `TooLongForSeries`, `Character`, `Start`, `End`.
pub fn check_series_name(text: &str) -> Result<(), InvalidName> {
    match text.chars().find(|c| is_hidden(*c)) {
        _ if text.is_empty() => Err(InvalidName::Empty),
        _ if text.len() > LONGEST_OF_SERIES => Err(InvalidName::TooLongForSeries(text.len())),
        Some(c) => Err(InvalidName::Character(c)),
        None if text.starts_with(' ') => Err(InvalidName::Start(' ')),
        None if text.ends_with(' ') => Err(InvalidName::End),
        None => Ok(()),
    }
}

/// True for a path that stays below its base folder.
pub fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Turns `name`, which may predate the rule for names, into one path component.
pub fn path_component(name: &str) -> String {
    let plain = |c: char| if matches!(c, '/' | '\\') || is_hidden(c) { '_' } else { c };
    let mut component: String = name.chars().map(plain).collect();
    while component.len() > LONGEST_IN_PATH {
        component.pop();
    }
    if component.is_empty() || component.starts_with('.') {
        component.insert(0, '_');
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_runs_in_any_script() {
        for name in ["nightly", "exp 1", "größe-2", "日本語", "run_3.5", "lr=0.1", "*.md", "🚀", "a[0]", "cafe", "LAST"]
        {
            assert_eq!(name.parse::<RunName>().unwrap().as_str(), name);
        }
        assert!("n".repeat(200).parse::<RunName>().is_ok());
    }

    #[test]
    fn a_name_that_is_a_path_or_means_something_else_is_refused() {
        let id = "01a228fc-3265-7000-8000-000000000000";
        for (name, error) in [
            ("", InvalidName::Empty),
            (&"ä".repeat(101), InvalidName::TooLong(202)),
            ("../out", InvalidName::Character('/')),
            ("/abs", InvalidName::Character('/')),
            ("a\\b", InvalidName::Character('\\')),
            ("a\nb", InvalidName::Character('\n')),
            ("a\0", InvalidName::Character('\0')),
            ("a\u{202e}b", InvalidName::Character('\u{202e}')),
            ("a\u{a0}b", InvalidName::Character('\u{a0}')),
            (".", InvalidName::Start('.')),
            ("..", InvalidName::Start('.')),
            ("-x", InvalidName::Start('-')),
            (" x", InvalidName::Start(' ')),
            ("x ", InvalidName::End),
            ("last", InvalidName::Newest),
            (id, InvalidName::Id),
            (&id.replace('-', ""), InvalidName::Id),
        ] {
            assert_eq!(name.parse::<RunName>(), Err(error), "{name:?}");
        }
    }

    #[test]
    fn a_label_can_be_shown_and_typed() {
        for label in ["model.v2", "b c", "ü", "x-y", "a/b"] {
            assert_eq!(check_label(label), Ok(()), "{label}");
        }
        assert_eq!(check_label(""), Err(InvalidName::Empty));
        assert_eq!(check_label("a\nb"), Err(InvalidName::Character('\n')));
        assert_eq!(check_label(&"x".repeat(201)), Err(InvalidName::TooLong(201)));
    }

    #[test]
    fn a_path_below_a_folder_does_not_leave_it() {
        for (path, below) in [
            ("o", true),
            ("a/b", true),
            ("./a", true),
            (".", true),
            ("/etc", false),
            ("../x", false),
            ("a/../..", false),
        ] {
            assert_eq!(is_below(Path::new(path)), below, "{path}");
        }
    }

    #[test]
    fn names_that_are_older_than_the_rule_stay_inside_a_folder() {
        for (name, component) in [
            ("nightly", "nightly"),
            ("../../out/x", "_.._.._out_x"),
            ("/abs", "_abs"),
            ("..", "_.."),
            ("", "_"),
            ("a\0b", "a_b"),
        ] {
            assert_eq!(path_component(name), component);
        }
        assert!(path_component(&"日".repeat(300)).len() <= LONGEST_IN_PATH);
    }
}
