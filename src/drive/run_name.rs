//! Names of new runs: given by a person, or made from the workflow's name.

use crate::error::CliError;
use stepwell_base::names::RunName;
use stepwell_store::{Reader, RunRow};

/// The name that a new run will get.
#[derive(Clone, Debug)]
pub enum NewName {
    Given(RunName),
    /// The workflow's name and the number of its run, such as `pretrain-3`.
    OfWorkflow,
    /// For a run that repeats or forks a run of this name: the next of its workflow, unless a person named that run.
    After(String),
}

impl NewName {
    pub fn given_or(name: Option<&RunName>, otherwise: NewName) -> NewName {
        name.cloned().map_or(otherwise, NewName::Given)
    }

    pub fn is_given(&self) -> bool {
        matches!(self, NewName::Given(_))
    }

    /// Makes the name. Another process may take it before this one submits its run.
    ///
    /// # Errors
    /// `Usage` when the name of the workflow or the earlier run cannot start a run's name.
    pub fn make(&self, reader: &Reader, workflow: &str) -> Result<RunName, CliError> {
        match self {
            NewName::Given(name) => Ok(name.clone()),
            NewName::OfWorkflow => checked(reader.free_name(workflow)?),
            NewName::After(earlier) if is_generated(earlier, workflow) => checked(reader.free_name(workflow)?),
            NewName::After(earlier) => checked(reader.next_name(without_number(earlier))?),
        }
    }
}

impl From<&RunRow> for NewName {
    fn from(earlier: &RunRow) -> NewName {
        NewName::After(earlier.name.clone())
    }
}

fn checked(name: RunName) -> Result<RunName, CliError> {
    name.as_str().parse().map_err(|error| {
        CliError::usage(format!("the run cannot be named `{name}`: {error}"))
            .hint("give another name with `--name NAME`")
    })
}

fn is_generated(name: &str, workflow: &str) -> bool {
    match name.strip_prefix(workflow) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(is_number),
        None => false,
    }
}

fn without_number(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, number)) if is_number(number) && !base.is_empty() => base,
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_is_the_workflow_and_a_number() {
        for (name, generated) in [
            ("pretrain", true),
            ("pretrain-2", true),
            ("pretrain-", false),
            ("pretrain-b", false),
            ("pretrain2", false),
            ("best", false),
        ] {
            assert_eq!(is_generated(name, "pretrain"), generated, "{name}");
        }
    }

    #[test]
    fn another_run_of_a_named_one_counts_on() {
        for (name, base) in [("best", "best"), ("best-2", "best"), ("lr-0.1", "lr-0.1"), ("-2", "-2")] {
            assert_eq!(without_number(name), base);
        }
    }
}
