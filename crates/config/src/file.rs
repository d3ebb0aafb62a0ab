//! Reads `stepwell.toml` and the user's `config.toml`, which have the same strict keys.

use std::path::{Path, PathBuf};

use super::limits;
use super::settings::{ColorChoice, OutputFormat, Partial, Switch};
use super::webhooks;
use stepwell_base::suggest;
use stepwell_workflow::diagnostic::{Problems, SpecErrors};
use stepwell_workflow::document::{self, Node, Table};

const KEYS: [&str; 15] = [
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
    "alerts",
    "notify",
    "webhook",
];
const RETENTION_KEYS: [&str; 2] = ["keep_runs", "keep_days"];

/// Reads the text of a configuration file. `home` stands for a leading `~`.
pub(super) fn parse(text: &str, path: &Path, home: Option<&Path>) -> Result<Partial, SpecErrors> {
    let mut problems = Problems::new(&path.display().to_string(), text);
    let table = document::read(&mut problems).unwrap_or_default();
    table.only(&KEYS, "", &mut problems);
    let mut text = |key: &str| table.get(key).and_then(|node| node.text(key, &mut problems)).map(|text| text.value);
    let mut folder = |key: &str| text(key).filter(|path| !path.is_empty()).map(|path| expand(&path, home));
    let (state_dir, export_dir) = (folder("state_dir"), folder("export_dir"));
    let device = text("device");
    let [keep_runs, keep_days] = retention(&table, &mut problems);
    let partial = Partial {
        keep_runs,
        keep_days,
        state_dir,
        export_dir,
        device,
        output: choice::<OutputFormat>(&table, "output", &OutputFormat::NAMES, &mut problems),
        tensorboard: choice::<Switch>(&table, "tensorboard", &Switch::NAMES, &mut problems),
        color: choice::<ColorChoice>(&table, "color", &ColorChoice::NAMES, &mut problems),
        pools: limits::pools(&table, &mut problems),
        rate_limits: limits::rate_limits(&table, &mut problems),
        alert_command: limits::alert_command(&table, &mut problems),
        notify_command: limits::notify_command(&table, &mut problems),
        webhooks: webhooks::webhooks(&table, home, &mut problems),
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

fn retention(table: &Table, problems: &mut Problems) -> [Option<u64>; 2] {
    let Some(node) = table.get("retention") else { return [None; 2] };
    let Some(limits) = node.table("retention", "retention = { keep_runs = 10 }", problems) else { return [None; 2] };
    limits.only(&RETENTION_KEYS, " in [retention]", problems);
    RETENTION_KEYS.map(|key| {
        let node = limits.get(key)?;
        let limit = node.to_json().as_u64();
        if limit.is_none() {
            problems
                .at(&node.span, format!("`{key}` must be an integer of at least 0"))
                .hint("leave it out to keep all");
        }
        limit
    })
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

/// Expands `~/`, as a shell would do on a command line.
pub(super) fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}
