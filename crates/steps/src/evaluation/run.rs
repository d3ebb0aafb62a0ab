//! Runs tasks, item by item, from where an earlier attempt left off.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::outcome::{Ledger, Record, Tally, TaskReport, check, judge};
use super::scoring::Scorer;
use super::tasks::{From, Task};
use crate::handler::{StepContext, StepError};

/// Items that are judged together.
const AT_ONCE: usize = 16;

/// Records of all tasks so far, with their sums.
pub struct Progress {
    pub ledger: Ledger,
    pub tallies: BTreeMap<String, Tally>,
}

impl Progress {
    /// Continues after the newest checkpoint.
    pub fn resume(context: &mut StepContext<'_>) -> Progress {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let ledger = Ledger::resume(context, |record| tallies.entry(record.task.clone()).or_default().add(&record));
        Progress { ledger, tallies }
    }

    /// Items of a task that have been measured.
    pub fn done(&self, task: &str) -> u64 {
        self.tallies.get(task).map_or(0, |tally| tally.whole.items)
    }

    /// Adds records of one task.
    ///
    /// # Errors
    /// When they cannot be made safe.
    pub fn add(&mut self, context: &mut StepContext<'_>, records: &[Record]) -> Result<(), StepError> {
        for record in records {
            self.tallies.entry(record.task.clone()).or_default().add(record);
        }
        self.ledger.append(records)?;
        self.ledger.save_sometimes(context)
    }
}

/// Measures all tasks. Nothing is measured before every item of every task has been checked.
///
/// # Errors
/// Names items that the model cannot see; those of the model, and of checkpoints.
pub fn run_tasks(
    context: &mut StepContext<'_>,
    tasks: &[Task],
    scorer: &mut impl Scorer,
    progress: &mut Progress,
) -> Result<Vec<TaskReport>, StepError> {
    tasks.iter().try_for_each(|task| check(task, scorer))?;
    let mut reports = Vec::with_capacity(tasks.len());
    for task in tasks {
        let done = progress.done(task.name()) as usize;
        let mut judged = done;
        for items in task.items.get(done..).unwrap_or_default().chunks(AT_ONCE) {
            let records = judge(context, task, items, scorer)?;
            progress.add(context, &records)?;
            judged += items.len();
            context.report(judged as u64, task.items.len() as u64, "items", task.name())?;
        }
        let tally = progress.tallies.get(task.name()).cloned().unwrap_or_default();
        reports.push(TaskReport::of(task.name(), &tally, shots(task), config(task)));
    }
    Ok(reports)
}

fn shots(task: &Task) -> u64 {
    match &task.planned.from {
        From::Generated { recipe, .. } => recipe.shots,
        From::Choices { .. } | From::Pairs(_) => 0,
    }
}

/// How a task was measured, in lm-eval's words.
fn config(task: &Task) -> Value {
    let mut config = match &task.planned.from {
        From::Choices { delimiter, .. } => json!({
            "output_type": "multiple_choice",
            "doc_to_text": "{{context}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{gold}}",
            "target_delimiter": delimiter,
        }),
        From::Pairs(_) => json!({
            "output_type": "multiple_choice",
            "doc_to_text": "",
            "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
            "doc_to_target": 0,
            "target_delimiter": "",
        }),
        From::Generated { recipe, .. } => json!({
            "output_type": "generate_until",
            "generation_kwargs": { "until": ["\n"], "do_sample": false },
            "metadata": { "generated": recipe.form, "seed": recipe.seed, "size": recipe.size },
        }),
    };
    config["task"] = json!(task.name());
    config["num_fewshot"] = json!(shots(task));
    if let Some(digest) = &task.digest {
        config["metadata"] = json!({ "file": digest });
    }
    config
}
