//! Reads `stepwell.toml` and the user's `config.toml`, which have the same strict keys.

use std::path::Path;

use super::executors;
use super::home::expand;
use super::limits;
use super::remote;
use super::settings::{ColorChoice, OutputFormat, Partial, Switch};
use super::webhooks;
use stepwell_base::suggest;
use stepwell_run::retention::{Goal, KeepBest};
use stepwell_workflow::diagnostic::{Problems, SpecErrors};
use stepwell_workflow::document::{self, Node, Table};

const KEYS: [&str; 17] = [
    "state_dir",
    "export_dir",
    "output",
    "device",
    "slots",
    "crash_loop_limit",
    "log_limit",
    "tensorboard",
    "color",
    "retention",
    "pools",
    "rate_limits",
    "executors",
    "alerts",
    "notify",
    "webhook",
    "remote",
];
const RETENTION_KEYS: [&str; 3] = ["keep_runs", "keep_days", "keep_best"];
const BEST_KEYS: [&str; 3] = ["by", "count", "goal"];
const BEST_EXAMPLE: &str = "keep_best = { by = \"eval.bits_per_byte\", count = 3, goal = \"min\" }";

/// Reads the text of a configuration file. `home` stands for a leading `~`.
pub(super) fn parse(text: &str, path: &Path, home: Option<&Path>) -> Result<Partial, SpecErrors> {
    let mut problems = Problems::new(&path.display().to_string(), text);
    let table = document::read(&mut problems).unwrap_or_default();
    table.only(&KEYS, "", &mut problems);
    let mut text = |key: &str| table.get(key).and_then(|node| node.text(key, &mut problems)).map(|text| text.value);
    let mut folder = |key: &str| text(key).filter(|path| !path.is_empty()).map(|path| expand(&path, home));
    let (state_dir, export_dir) = (folder("state_dir"), folder("export_dir"));
    let device = text("device");
    let Kept { keep_runs, keep_days, keep_best } = retention(&table, &mut problems);
    let partial = Partial {
        keep_runs,
        keep_days,
        keep_best,
        state_dir,
        export_dir,
        device,
        output: choice::<OutputFormat>(&table, "output", &OutputFormat::NAMES, &mut problems),
        tensorboard: choice::<Switch>(&table, "tensorboard", &Switch::NAMES, &mut problems),
        color: choice::<ColorChoice>(&table, "color", &ColorChoice::NAMES, &mut problems),
        pools: limits::pools(&table, &mut problems),
        rate_limits: limits::rate_limits(&table, &mut problems),
        executors: executors::executors(&table, home, &mut problems),
        alert_command: limits::alert_command(&table, &mut problems),
        notify_command: limits::notify_command(&table, &mut problems),
        webhooks: webhooks::webhooks(&table, home, &mut problems),
        remotes: remote::accounts(&table, home, &mut problems),
        crash_loop_limit: table.get("crash_loop_limit").and_then(|node| crash_loop_limit(node, &mut problems)),
        log_limit: limits::log_limit(&table, &mut problems),
        slots: table.get("slots").and_then(|node| slots(node, &mut problems)),
    };
    problems.finish(partial)
}

fn crash_loop_limit(node: &Node, problems: &mut Problems) -> Option<u64> {
    let limit = node.to_json().as_u64();
    if limit.is_none() {
        problems
            .at(&node.span, "`crash_loop_limit` must be an integer of at least 0")
            .hint("after so many deaths in a row an engine wants a person; 0 turns this off");
    }
    limit
}

/// The rules in `[retention]`.
#[derive(Default)]
struct Kept {
    keep_runs: Option<u64>,
    keep_days: Option<u64>,
    keep_best: Option<KeepBest>,
}

fn retention(table: &Table, problems: &mut Problems) -> Kept {
    let Some(node) = table.get("retention") else { return Kept::default() };
    let Some(rules) = node.table("retention", "retention = { keep_runs = 10 }", problems) else {
        return Kept::default();
    };
    rules.only(&RETENTION_KEYS, " in [retention]", problems);
    let mut limit = |key: &str| {
        let node = rules.get(key)?;
        let limit = node.to_json().as_u64();
        if limit.is_none() {
            problems
                .at(&node.span, format!("`{key}` must be an integer of at least 0"))
                .hint("leave it out to keep all");
        }
        limit
    };
    let (keep_runs, keep_days) = (limit("keep_runs"), limit("keep_days"));
    Kept { keep_runs, keep_days, keep_best: rules.get("keep_best").and_then(|node| keep_best(node, problems)) }
}

fn keep_best(node: &Node, problems: &mut Problems) -> Option<KeepBest> {
    let rule = node.table("keep_best", BEST_EXAMPLE, problems)?;
    rule.only(&BEST_KEYS, " in `keep_best`", problems);
    let goal = match rule.get("goal") {
        Some(_) => choice::<Goal>(rule, "goal", &Goal::NAMES, problems)?,
        None => Goal::Min,
    };
    let by = rule.get("by").and_then(|node| node.text("by", problems)).map(|text| text.value);
    let count = rule.get("count").and_then(|node| node.to_json().as_u64());
    let best = by.zip(count).map(|(by, count)| KeepBest { count, by, goal });
    let best = best.filter(|rule| rule.step_and_value().is_some());
    if best.is_none() {
        problems
            .at(&node.span, "`keep_best` needs `by`, a STEP.VALUE, and `count`, an integer of at least 0")
            .hint(BEST_EXAMPLE);
    }
    best
}

fn choice<T: std::str::FromStr>(table: &Table, key: &str, names: &[&str], problems: &mut Problems) -> Option<T> {
    let text = table.get(key)?.text(key, problems)?;
    let value = text.value.parse().ok();
    if value.is_none() {
        problems
            .at(&text.span, format!("`{key}` cannot be `{}`", text.value))
            .label("not a known value")
            .hint(suggest::hint(&text.value, "values", names.iter().copied()));
    }
    value
}

fn slots(node: &Node, problems: &mut Problems) -> Option<usize> {
    let slots = node.to_json().as_u64().and_then(|slots| usize::try_from(slots).ok()).filter(|slots| *slots > 0);
    if slots.is_none() {
        problems
            .at(&node.span, "`slots` must be an integer of at least 1")
            .hint("it limits how many steps run at once");
    }
    slots
}
