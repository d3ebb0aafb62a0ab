//! Explains why a step ran or was reused, by comparison with an earlier run.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;

use super::{Reason, Situation};
use crate::error::CliError;
use crate::view::output::short_id;
use stepwell_base::ids::{RunId, StepKey};
use stepwell_run::provenance::FINGERPRINT;
use stepwell_run::run_options::{Origin, Reuse};
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, StepRow};
use stepwell_workflow::key::{Change, difference, step_key};
use stepwell_workflow::kinds::SHELL;
use stepwell_workflow::spec::WorkflowSpec;
use stepwell_workflow::template::behind;

/// Versions of a kind to try when looking for the one behind a key.
const VERSIONS: std::ops::Range<u32> = 0..256;

pub(super) fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<Reason>, CliError> {
    if let Some(from) = step.reused_from {
        let label = label(situation, from)?;
        let message = format!("the same step with the same inputs has succeeded in {label}: nothing was run");
        return Ok(vec![Reason::new("reused", message)]);
    }
    let Some(new) = &step.with else { return Ok(Vec::new()) };
    let mut reasons: Vec<Reason> = asked_for(situation, step).into_iter().collect();
    let Some((before, previous)) = situation.baselines.of(step, situation.only)? else {
        reasons.push(Reason::new("first", "it ran because no earlier run of this workflow has run this step"));
        return Ok(reasons);
    };
    let earlier = Earlier::load(situation, before)?;
    reasons.extend(removed_source(situation, before, &earlier)?);
    let Some(old) = &previous.with else {
        reasons.push(Reason::new("not_started", format!("it ran because it did not start in {}", earlier.label)));
        return Ok(reasons);
    };
    let (changes, files) = changes(old, new);
    if !changes.is_empty() || !files.is_empty() {
        reasons.extend(files.into_iter().map(|change| file_changed(change, &earlier)));
        reasons.extend(changes.into_iter().map(|change| changed(situation, change, &previous, step, &earlier)));
    } else if previous.key != step.key {
        reasons.push(version_changed(&previous, step));
    } else if reasons.iter().all(|reason| reason.code == "source_removed") {
        reasons.push(nothing_changed(situation, &previous, step, &earlier)?);
    }
    Ok(reasons)
}

/// Says that the run to compare with is another one than the run that this one repeats.
fn removed_source(situation: &Situation<'_>, before: RunId, earlier: &Earlier) -> Result<Option<Reason>, CliError> {
    let Some(source) = situation.run.options.origin.as_ref().and_then(Origin::source).filter(|run| *run != before)
    else {
        return Ok(None);
    };
    let row = situation.reader.run(source)?;
    Ok(row.pruned_at.is_some().then(|| {
        let message = format!(
            "run {} ({}), which it repeats a part of, was removed: it is compared with {}",
            row.name,
            short_id(source),
            earlier.label
        );
        Reason::new("source_removed", message)
    }))
}

/// The earlier run that a step is compared with.
struct Earlier {
    /// Text that names the run to people.
    label: String,
    spec: Rc<WorkflowSpec>,
}

impl Earlier {
    fn load(situation: &Situation<'_>, run: RunId) -> Result<Earlier, CliError> {
        let mut known = situation.compared.borrow_mut();
        if let Some((label, spec)) = known.get(&run) {
            return Ok(Earlier { label: label.clone(), spec: Rc::clone(spec) });
        }
        let label = label(situation, run)?;
        let spec = Rc::new(situation.reader.spec(run)?);
        known.insert(run, (label.clone(), Rc::clone(&spec)));
        Ok(Earlier { label, spec })
    }
}

fn label(situation: &Situation<'_>, run: RunId) -> Result<String, CliError> {
    let row = situation.reader.run(run)?;
    Ok(format!("run {} ({}, {})", row.name, short_id(run), row.created_at.strftime("%Y-%m-%d %H:%M:%SZ")))
}

/// Changes of arguments, and of files that the fingerprint lists by name and digest.
fn changes(old: &Value, new: &Value) -> (Vec<Change>, Vec<Change>) {
    let (Some(old_files), Some(new_files)) = (listed_files(old), listed_files(new)) else {
        return (difference(old, new), Vec::new());
    };
    let names: BTreeSet<&str> = old_files.keys().chain(new_files.keys()).copied().collect();
    let digest = |files: &BTreeMap<&str, &str>, name| files.get(name).map(|digest| digest.chars().take(12).collect());
    let changed = names.into_iter().filter(|name| old_files.get(name) != new_files.get(name));
    let files = changed.map(|name| Change {
        path: format!("{FINGERPRINT}.{name}"),
        old: digest(&old_files, name),
        new: digest(&new_files, name),
    });
    (difference(&without_fingerprint(old), &without_fingerprint(new)), files.collect())
}

/// Reads a fingerprint of `[name, digest]` pairs, as `corpus.import` writes it.
fn listed_files(with: &Value) -> Option<BTreeMap<&str, &str>> {
    let pairs = with.get(FINGERPRINT)?.as_array()?;
    pairs.iter().map(pair).collect()
}

fn pair(value: &Value) -> Option<(&str, &str)> {
    match value.as_array()?.as_slice() {
        [name, digest] => name.as_str().zip(digest.as_str()),
        _ => None,
    }
}

fn file_changed(change: Change, earlier: &Earlier) -> Reason {
    let name = change.path.strip_prefix(FINGERPRINT).unwrap_or(&change.path).trim_start_matches('.');
    let what = match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("the content of `{name}` changed {old} -> {new}"),
        (None, _) => format!("the file `{name}` is new"),
        (Some(_), None) => format!("the file `{name}` is gone"),
    };
    let message = format!("it ran because {what} since {}", earlier.label);
    Reason { change: Some(change), ..Reason::new("changed", message) }
}

/// Explains a step that the submission itself asked to run (`--no-reuse`, `rerun` or `fork`); `None` for others.
fn asked_for(situation: &Situation<'_>, step: &StepRow) -> Option<Reason> {
    let options = &situation.run.options;
    let id = step.parent.as_ref().unwrap_or(&step.id);
    if options.reuse.allows(id) {
        return None;
    }
    let message = match (&options.reuse, &options.origin) {
        (Reuse::Never, _) => "it ran because the run was started with `--no-reuse`".to_owned(),
        (_, Some(Origin::Rerun { run, from_step })) => {
            format!("it ran because run {run} was rerun from step `{from_step}`")
        }
        (_, Some(Origin::Fork { run, at, train_step: Some(train_step) })) if at == id => {
            format!("it resumed from training step {train_step} of run {run}")
        }
        (_, Some(Origin::Fork { run, at, .. })) => format!("it ran because run {run} was forked at `{at}`"),
        _ => "it ran because the run was told to run it".to_owned(),
    };
    Some(Reason::new("asked_for", message))
}

fn changed(situation: &Situation<'_>, change: Change, previous: &StepRow, step: &StepRow, earlier: &Earlier) -> Reason {
    let fingerprint = format!("{FINGERPRINT}.");
    let file = |group: &str| change.path.strip_prefix(&format!("{fingerprint}{group}."));
    let what = if let Some(path) = file("inputs").or_else(|| file("argv")) {
        // Twelve digits of a digest are enough to tell two files apart.
        let short = |digest: &Option<String>| match digest {
            Some(digest) => digest.trim_matches('"').chars().take(12).collect(),
            None => "nothing".to_owned(),
        };
        let (old, new): (String, String) = (short(&change.old), short(&change.new));
        format!("the content of `{path}` changed {old} -> {new}")
    } else if let Some(path) = change.path.strip_prefix(&fingerprint) {
        Change { path: path.to_owned(), ..change.clone() }.to_string()
    } else {
        cause(situation, &change, previous, step, earlier)
    };
    let message = format!("it ran because {what} since {}", earlier.label);
    Reason { change: Some(change), ..Reason::new("changed", message) }
}

/// The cause of a changed argument in terms of the workflow file; a literal stands for itself.
fn cause(situation: &Situation<'_>, change: &Change, previous: &StepRow, step: &StepRow, earlier: &Earlier) -> String {
    let names = situation.spec_of(step).map(|spec| behind(&spec.with, &change.path)).unwrap_or_default();
    let value = |spec: &WorkflowSpec, name: &str| {
        let path = name.strip_prefix("params.")?.replace('.', "/");
        Value::Object(spec.params.clone()).pointer(&format!("/{path}")).cloned()
    };
    let params = names.iter().filter_map(|name| {
        let (old, new) = (value(&earlier.spec, name), value(situation.spec, name));
        (old != new).then(|| {
            let show = |value: Option<Value>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
            format!("`{name}` changed {} -> {}", show(old), show(new))
        })
    });
    let mut causes: Vec<String> = params.collect();
    let is_item = |name: &String| name == "item" || name.starts_with("item.") || name.starts_with("item[");
    if let (true, Some(old), Some(new)) = (names.iter().any(is_item), &previous.item, &step.item)
        && old != new
    {
        causes.push(format!("its item changed {old} -> {new}"));
    }
    let from_steps: Vec<&String> = names.iter().filter(|name| name.starts_with("steps.")).collect();
    match (causes.is_empty(), from_steps.as_slice()) {
        (false, _) => causes.join(", and "),
        (true, [one]) => Change { path: (*one).clone(), ..change.clone() }.to_string(),
        (true, _) if change.path == SCRIPT && is_shell(step) => {
            Change { path: "run".to_owned(), ..change.clone() }.to_string()
        }
        (true, _) => change.to_string(),
    }
}

/// Explains equal arguments with a different key: only the kind or its version can differ.
fn version_changed(previous: &StepRow, step: &StepRow) -> Reason {
    let name = |version: Option<u32>| version.map_or_else(|| "?".to_owned(), |version| version.to_string());
    let (old, new) = (name(version_of(previous)), name(version_of(step)));
    let message = if previous.kind == step.kind {
        format!("it ran because version {new} of `{}` gives other outputs than version {old}", step.kind)
    } else {
        format!("it ran because its kind changed `{}` -> `{}`", previous.kind, step.kind)
    };
    Reason::new("kind_version", message)
}

/// The version behind the key of a step. A key does not contain it, but computing the key for each version finds it.
fn version_of(step: &StepRow) -> Option<u32> {
    let (mut with, key) = (step.with.clone()?, step.key.as_ref()?);
    let fingerprint = with.as_object_mut().and_then(|with| with.remove(FINGERPRINT)).unwrap_or(Value::Null);
    VERSIONS.into_iter().find(|version| step_key(&step.kind, *version, &with, &fingerprint) == *key)
}

fn nothing_changed(
    situation: &Situation<'_>,
    previous: &StepRow,
    step: &StepRow,
    earlier: &Earlier,
) -> Result<Reason, CliError> {
    let before = &earlier.label;
    let elsewhere = previous.status == StepStatus::Succeeded
        || has_succeeded(situation.reader, step.key.as_ref(), situation.run.id)?;
    if !elsewhere {
        let message = format!("it ran because {} in {before}", earlier_end(previous.status));
        return Ok(Reason::new("not_done_before", message));
    }
    let reusable = match (stepwell_steps::find(&step.kind), &step.with) {
        (Some(handler), Some(with)) => handler.reusable(&without_fingerprint(with)),
        _ => true,
    };
    Ok(if reusable {
        Reason::new(
            "outputs_gone",
            format!("it ran although nothing changed since {before}: the earlier outputs were gone"),
        )
    } else {
        let kind = if is_shell(step) { SHELL } else { &step.kind };
        let message = format!("it ran although nothing changed since {before}: a `{kind}` like this is never reused");
        Reason::new("never_reused", message)
    })
}

fn earlier_end(status: StepStatus) -> String {
    match status {
        StepStatus::Failed => "it failed".to_owned(),
        other => format!("it was {}", other.as_str()),
    }
}

/// The script among the arguments of a step that was written as `kind = "shell"`.
const SCRIPT: &str = "argv[2]";

/// True for a step that was written as `kind = "shell"` with `run`.
fn is_shell(step: &StepRow) -> bool {
    let words = step.with.as_ref().and_then(|with| with.get("argv")?.as_array());
    words.is_some_and(|words| matches!(words.as_slice(), [sh, flags, _] if sh == "/bin/sh" && flags == "-euc"))
}

fn without_fingerprint(with: &Value) -> Value {
    let mut with = with.clone();
    if let Some(arguments) = with.as_object_mut() {
        arguments.remove(FINGERPRINT);
    }
    with
}

/// True if a step with this key succeeded in another run.
fn has_succeeded(reader: &Reader, key: Option<&StepKey>, run: RunId) -> Result<bool, CliError> {
    let Some(key) = key else { return Ok(false) };
    Ok(reader.find_reusable(key)?.is_some_and(|(from, _)| from != run))
}
