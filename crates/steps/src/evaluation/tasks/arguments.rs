//! Arguments that name tasks.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::generated::{Form, MOST_SHOTS, Recipe};
use super::lines::MOST_ITEMS;
use crate::infer::Source;
use stepwell_base::failure::Failure;

/// Most tasks of a step.
const MOST_TASKS: usize = 100;
/// Longest name of a task.
const LONGEST_NAME: usize = 64;

/// One task: a file of `choices`, a file of `pairs`, or a `generated` one.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskArgument {
    /// Name in results: lower-case letters, digits and `_`.
    pub name: String,
    /// File of `{"context", "choices", "gold"}`, one per line: an output, or a path. The likeliest choice must be number `gold`.
    #[serde(default)]
    pub choices: Option<Source>,
    /// File of `{"sentence_good", "sentence_bad", "UID"}`, as BLiMP has them: an output, or a path. The good sentence must be likelier.
    #[serde(default)]
    pub pairs: Option<Source>,
    /// Questions made from a seed, whose answer must be exact.
    #[serde(default)]
    pub generated: Option<Form>,
    /// Number of generated questions.
    #[serde(default)]
    pub count: Option<u64>,
    /// Digits, letters or brackets of a generated question.
    #[serde(default)]
    pub size: Option<u64>,
    /// Solved lines before each generated question.
    #[serde(default)]
    pub shots: Option<u64>,
    /// Equal seeds give equal questions.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Text between context and choice.
    #[serde(default)]
    pub delimiter: Option<String>,
}

/// A task whose arguments make sense.
#[derive(Clone)]
pub struct Planned {
    pub name: String,
    pub from: From,
}

#[derive(Clone)]
pub enum From {
    Choices { file: Source, delimiter: String },
    Pairs(Source),
    Generated { recipe: Recipe, count: u64 },
}

/// What a task asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Choices,
    Pairs,
    Generated,
}

const USUAL_COUNT: u64 = 100;
const USUAL_SHOTS: u64 = 4;
const USUAL_SEED: u64 = 42;
/// As lm-eval writes it.
const USUAL_DELIMITER: &str = " ";
const LONGEST_DELIMITER: usize = 64;

impl From {
    fn kind(&self) -> Kind {
        match self {
            From::Choices { .. } => Kind::Choices,
            From::Pairs(_) => Kind::Pairs,
            From::Generated { .. } => Kind::Generated,
        }
    }

    pub fn file(&self) -> Option<&Source> {
        match self {
            From::Choices { file, .. } | From::Pairs(file) => Some(file),
            From::Generated { .. } => None,
        }
    }
}

/// Checks tasks. `taken` are names that the step uses itself.
///
/// # Errors
/// Names the first task that cannot be.
pub fn plan(tasks: &[TaskArgument], taken: &[&str]) -> Result<Vec<Planned>, Failure> {
    if tasks.len() > MOST_TASKS {
        return Err(Failure::fatal(format!("{} tasks are too many: a step has at most {MOST_TASKS}", tasks.len())));
    }
    let mut names: BTreeSet<&str> = taken.iter().copied().collect();
    for task in tasks {
        check_name(&task.name)?;
        if !names.insert(&task.name) {
            return Err(Failure::fatal(format!("the name `{}` is taken", task.name))
                .with_hint("give each task a name of its own"));
        }
    }
    tasks.iter().map(planned).collect()
}

/// # Errors
/// When results cannot have this name.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
        let message = format!("`{name}` cannot be the name of a task or a source");
        return Err(Failure::fatal(message)
            .with_hint(format!("write 1 to {LONGEST_NAME} of these: lower-case letters, digits, `_`")));
    }
    Ok(())
}

fn planned(task: &TaskArgument) -> Result<Planned, Failure> {
    let name = &task.name;
    let wrong = |why: &str| Failure::fatal(format!("task `{name}`: {why}"));
    let from = match (&task.choices, &task.pairs, task.generated) {
        (Some(file), None, None) => {
            let delimiter = task.delimiter.clone().unwrap_or_else(|| USUAL_DELIMITER.to_owned());
            if delimiter.len() > LONGEST_DELIMITER {
                return Err(wrong(&format!("`delimiter` has more than {LONGEST_DELIMITER} bytes")));
            }
            From::Choices { file: file.clone(), delimiter }
        }
        (None, Some(file), None) => From::Pairs(file.clone()),
        (None, None, Some(form)) => {
            let recipe = Recipe {
                form,
                seed: task.seed.unwrap_or(USUAL_SEED),
                size: task.size.unwrap_or_else(|| form.usual_size()),
                shots: task.shots.unwrap_or(USUAL_SHOTS),
            };
            let count = task.count.unwrap_or(USUAL_COUNT);
            for (what, found, least, most) in [
                ("count", count, 1, MOST_ITEMS as u64),
                ("size", recipe.size, 1, form.largest_size()),
                ("shots", recipe.shots, 0, MOST_SHOTS),
            ] {
                if !(least..=most).contains(&found) {
                    return Err(wrong(&format!("`{what}` is {found}; it must be {least} to {most}")));
                }
            }
            From::Generated { recipe, count }
        }
        _ => {
            return Err(wrong("it needs one of `choices`, `pairs` and `generated`")
                .with_hint("such as { name = \"cloze\", choices = \"cloze.jsonl\" }"));
        }
    };
    let idle = match from.kind() {
        Kind::Generated => [("delimiter", task.delimiter.is_some())].to_vec(),
        kind => {
            let mut idle = vec![
                ("count", task.count.is_some()),
                ("size", task.size.is_some()),
                ("shots", task.shots.is_some()),
                ("seed", task.seed.is_some()),
            ];
            if kind == Kind::Pairs {
                idle.push(("delimiter", task.delimiter.is_some()));
            }
            idle
        }
    };
    match idle.into_iter().find(|(_, given)| *given) {
        Some((argument, _)) => Err(wrong(&format!("`{argument}` means nothing for a task of this kind"))),
        None => Ok(Planned { name: name.clone(), from }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan_of(tasks: Value) -> Result<Vec<Planned>, String> {
        let tasks: Vec<TaskArgument> = serde_json::from_value(tasks).unwrap();
        plan(&tasks, &["documents"]).map_err(|failure| failure.message)
    }

    #[test]
    fn a_task_has_one_origin_a_plain_name_and_numbers_within_bounds() {
        let refused = |task: Value| plan_of(json!([task])).err().unwrap();
        assert!(refused(json!({"name": "a"})).contains("needs one of"));
        assert!(refused(json!({"name": "a", "choices": "x", "pairs": "y"})).contains("needs one of"));
        assert!(refused(json!({"name": "A b", "choices": "x"})).contains("cannot be the name"));
        assert!(refused(json!({"name": "documents", "choices": "x"})).contains("is taken"));
        assert!(refused(json!({"name": "a", "choices": "x", "size": 3})).contains("`size` means nothing"));
        assert!(refused(json!({"name": "a", "generated": "sort", "size": 27})).contains("1 to 26"));
        assert!(refused(json!({"name": "a", "generated": "copy", "count": 0})).contains("`count` is 0"));
        let two = json!([{"name": "a", "generated": "copy"}, {"name": "a", "generated": "sort"}]);
        assert!(plan_of(two).err().unwrap().contains("is taken"));
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let planned = plan_of(json!([{"name": "sums", "generated": "arithmetic"}])).ok().unwrap();
        let From::Generated { recipe, count } = planned[0].from else { panic!() };
        assert_eq!((recipe.size, recipe.shots, recipe.seed, count), (2, 4, 42, 100));
    }
}
