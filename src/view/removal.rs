//! Shows what `gc` and `rm` have removed, or would remove.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::annotation::{self, tag_list};
use super::export_folder::ExportFolder;
use super::output::{bytes, run_json, short_id, shown_path, table};
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::ids::RunId;
use stepwell_engine::{Amount, Collected, Figure, PrunedRun, Sweep};
use stepwell_run::run_options::Origin;
use stepwell_store::RunRow;

/// Most runs to list, unless all are asked for.
pub const MOST_RUNS: usize = 20;
/// Most exported folders to name.
const MOST_FOLDERS: usize = 5;

pub struct Removal<'a> {
    pub collected: &'a Collected,
    pub sweep: Sweep,
    /// Most runs to list for people.
    pub most: usize,
    /// The flag that lists all runs.
    pub all: &'static str,
    /// What stays, in words.
    pub rules: Option<String>,
}

impl Removal<'_> {
    pub fn report(&self, session: &Session) -> Result<(), CliError> {
        let folder = ExportFolder::of(session);
        let exports = |run: &PrunedRun| Some(folder.of_run(&run.row)).filter(|folder| folder.is_dir());
        let runs: Vec<(&PrunedRun, Option<PathBuf>)> =
            self.collected.pruned.iter().map(|run| (run, exports(run))).collect();
        session.out.document(&self.text(&runs), self.value(&runs))?;
        if self.sweep == Sweep::DryRun && !runs.is_empty() {
            session.out.message("hint: `stepwell keep RUN` keeps a run");
        }
        if !runs.is_empty() {
            let forks = self.forks(session.reader()?.runs()?.readable);
            forks.iter().take(MOST_RUNS).for_each(|text| session.out.message(text));
        }
        Ok(())
    }

    /// The runs that lose the first part of their curve: it is that of a removed run.
    fn forks(&self, all: Vec<RunRow>) -> Vec<String> {
        let removed: HashMap<RunId, &RunRow> = self.collected.pruned.iter().map(|run| (run.row.id, &run.row)).collect();
        let left = all.into_iter().filter(|row| row.pruned_at.is_none() && !removed.contains_key(&row.id));
        left.filter_map(|row| match row.options.origin {
            Some(Origin::Fork { run, train_step: Some(at), .. }) => {
                let from = removed.get(&run)?;
                Some(format!(
                    "note: the curve of `{}` begins at step {at}, where it was forked from `{}`",
                    row.name, from.name
                ))
            }
            _ => None,
        })
        .collect()
    }

    fn text(&self, runs: &[(&PrunedRun, Option<PathBuf>)]) -> String {
        let Collected { pruned, artifacts, temporary, scratch } = self.collected;
        let remove = match self.sweep {
            Sweep::DryRun => "would remove",
            Sweep::Remove => "removed",
        };
        let mut text = format!("{remove} {}\n", counted(pruned.len(), "run"));
        if !pruned.is_empty() {
            let header = ["run", "name", "status", "ended", "size", "result", "tags"];
            text.push_str(&table(&header, runs.iter().take(self.most).map(|(run, _)| cells(run)).collect()));
        }
        if let Some(more) = pruned.len().checked_sub(self.most).filter(|more| *more > 0) {
            text.push_str(&format!("and {more} more, with `{}`\n", self.all));
        }
        let mut line = |amount: &Amount, what: &str| {
            let count = counted(usize::try_from(amount.files).unwrap_or(usize::MAX), what);
            text.push_str(&format!("{remove} {count}, {}\n", bytes(amount.bytes)));
        };
        line(artifacts, "artifact");
        if temporary.files > 0 {
            line(temporary, "unfinished file");
        }
        line(scratch, "log or scratch file");
        let folders: Vec<&PathBuf> = runs.iter().filter_map(|(_, folder)| folder.as_ref()).collect();
        for folder in folders.iter().take(MOST_FOLDERS) {
            text.push_str(&format!("exports stay: {}\n", folder.display()));
        }
        if let Some(more) = folders.len().checked_sub(MOST_FOLDERS).filter(|more| *more > 0) {
            text.push_str(&format!("and {more} more exported folders stay\n"));
        }
        if let Some(rules) = &self.rules {
            text.push_str(&format!("{rules}\n"));
        }
        text
    }

    fn value(&self, runs: &[(&PrunedRun, Option<PathBuf>)]) -> Value {
        let Collected { pruned, artifacts, temporary, scratch } = self.collected;
        json!({
            "dry_run": self.sweep == Sweep::DryRun,
            "pruned": pruned.iter().map(|run| run.row.id).collect::<Vec<_>>(),
            "runs": runs.iter().map(|(run, folder)| run_value(run, folder.as_ref())).collect::<Vec<_>>(),
            "artifacts": amount(*artifacts),
            "temporary": amount(*temporary),
            "scratch": amount(*scratch),
            "bytes": artifacts.bytes + temporary.bytes + scratch.bytes,
        })
    }
}

fn cells(run: &PrunedRun) -> Vec<String> {
    let PrunedRun { row, annotation, figure, bytes: size, .. } = run;
    let ended = row.finished_at.unwrap_or(row.updated_at);
    vec![
        short_id(row.id),
        row.name.clone(),
        row.stored_status.to_string(),
        ended.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        bytes(*size),
        figure.as_ref().map(result).unwrap_or_default(),
        tag_list(annotation),
    ]
}

fn result(Figure { step, name, value }: &Figure) -> String {
    format!("{step} {name} {value:.4}")
}

fn run_value(run: &PrunedRun, folder: Option<&PathBuf>) -> Value {
    let mut value = run_json(&run.row);
    value["bytes"] = json!(run.bytes);
    value["result"] = match &run.figure {
        Some(Figure { step, name, value }) => json!({ "step": step, "name": name, "value": value }),
        None => Value::Null,
    };
    annotation::add_json(&mut value, &run.annotation);
    value["exports"] = json!(folder.map(|folder| shown_path(folder)));
    value
}

fn amount(amount: Amount) -> Value {
    json!({ "files": amount.files, "bytes": amount.bytes })
}

/// A count with its noun, such as `1 run` or `2 runs`.
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use stepwell_run::status::RunStatus;
    use stepwell_store::Annotation;

    use super::*;

    fn pruned(name: &str, status: RunStatus, end: &str) -> PrunedRun {
        let row = RunRow {
            id: format!("01a22ad7-3f0d-7001-a15c-{end}").parse().unwrap(),
            name: name.to_owned(),
            workflow: "pretrain".to_owned(),
            status,
            stored_status: status,
            spec_digest: String::new(),
            options: Default::default(),
            pause_reason: None,
            created_at: "2026-11-30T04:00:00Z".parse().unwrap(),
            started_at: None,
            finished_at: Some("2026-11-30T05:00:00Z".parse().unwrap()),
            updated_at: "2026-11-30T05:00:00Z".parse().unwrap(),
            pruned_at: None,
            failure: None,
        };
        PrunedRun { row, annotation: Annotation::default(), figure: None, bytes: 0 }
    }

    #[test]
    fn a_plan_names_runs_with_sizes_and_results() {
        let failed = pruned("pretrain-2", RunStatus::Failed, "630001d33547");
        let mut good = pruned("pretrain-1", RunStatus::Succeeded, "0abc01d33547");
        good.figure = Some(Figure { step: "eval".to_owned(), name: "bits_per_byte".to_owned(), value: 2.18341 });
        good.annotation.tags = ["baseline", "v2"].map(|tag| tag.parse().unwrap()).into();
        good.bytes = 3 << 20;
        let collected = Collected {
            pruned: vec![failed, good, pruned("pretrain-3", RunStatus::Canceled, "1abc01d33547")],
            artifacts: Amount { files: 12, bytes: 3 << 20 },
            temporary: Amount::default(),
            scratch: Amount { files: 1, bytes: 100 },
        };
        let folder = PathBuf::from("/x/exports/pretrain-1-0abc01d3");
        let runs: Vec<(&PrunedRun, Option<PathBuf>)> =
            collected.pruned.iter().map(|run| (run, (run.bytes > 0).then(|| folder.clone()))).collect();
        let mut fork = pruned("low", RunStatus::Succeeded, "2abc01d33547").row;
        let base = collected.pruned[1].row.id;
        fork.options.origin = Some(Origin::Fork { run: base, at: "train".into(), train_step: Some(200) });
        let mut of_other = fork.clone();
        of_other.options.origin = Some(Origin::Fork { run: fork.id, at: "train".into(), train_step: Some(200) });
        let plan = Removal { collected: &collected, sweep: Sweep::DryRun, most: 2, all: "--all", rules: None };
        assert_eq!(
            plan.text(&runs),
            "\
would remove 3 runs
RUN       NAME        STATUS     ENDED                 SIZE     RESULT                     TAGS
630001d3  pretrain-2  failed     2026-11-30 05:00:00Z  0 B
0abc01d3  pretrain-1  succeeded  2026-11-30 05:00:00Z  3.0 MiB  eval bits_per_byte 2.1834  baseline, v2
and 1 more, with `--all`
would remove 12 artifacts, 3.0 MiB
would remove 1 log or scratch file, 100 B
exports stay: /x/exports/pretrain-1-0abc01d3
"
        );
        let told = "note: the curve of `low` begins at step 200, where it was forked from `pretrain-1`";
        assert_eq!(plan.forks(vec![fork, of_other]), [told]);
    }
}
