//! `[executors]` of a configuration file, and `executor` of a pool.

use std::collections::BTreeMap;
use std::path::Path;

use super::home::expand;
use stepwell_base::suggest;
use stepwell_workflow::diagnostic::Problems;
use stepwell_workflow::document::{Data, Node, Table};
use stepwell_workflow::executor::{ExecutorConfig, Executors, LOCAL, Slurm, Ssh, System};

const EXAMPLE: &str = "[executors.slurm], and below it `partition = \"gpu\"`";
const SLURM_KEYS: [&str; 6] = ["system", "slots", "partition", "time", "options", "program"];
const SSH_KEYS: [&str; 7] = ["system", "slots", "host", "port", "folder", "options", "program"];
/// Enough for a sweep, few enough for the queue of a cluster that others use too.
const DEFAULT_SLOTS: usize = 8;
const MOST_SLOTS: u64 = 1000;
/// Each has a thread of its own.
const MOST: usize = 16;
const FOLDER: &str = ".stepwell";

pub(super) fn executors(table: &Table, home: Option<&Path>, problems: &mut Problems) -> Option<Executors> {
    let configured = table.get("executors").and_then(|node| node.table("executors", EXAMPLE, problems));
    let of_pools = of_pools(table, problems);
    if configured.is_none() && of_pools.is_empty() {
        return None;
    }
    let mut by_name = BTreeMap::new();
    for (name, node) in configured.iter().flat_map(|table| &table.entries) {
        if name.value == LOCAL || by_name.len() == MOST {
            problems
                .at(&name.span, format!("`{}` cannot be added to the executors", name.value))
                .hint(format!("`{LOCAL}` is this machine, and there may be {MOST} others"));
        } else if let Some(executor) = one(&name.value, node, home, problems) {
            by_name.insert(name.value.clone(), executor);
        }
    }
    Some(Executors { by_name, of_pools })
}

fn one(name: &str, node: &Node, home: Option<&Path>, problems: &mut Problems) -> Option<ExecutorConfig> {
    let table = node.table(name, EXAMPLE, problems)?;
    let system = match table.get("system") {
        Some(node) => node.text("system", problems)?.value,
        None => name.to_owned(),
    };
    let slots = slots(table, problems);
    let system = match system.as_str() {
        "slurm" => System::Slurm(slurm(table, home, problems)),
        "ssh" => System::Ssh(ssh(node, table, home, problems)?),
        _ => {
            let span = table.get("system").map_or(&node.span, |node| &node.span);
            problems.at(span, format!("there is no system `{system}` for executors")).hint(format!(
                "{}; `system` may be left out if the executor has its name",
                suggest::hint(&system, "systems", System::NAMES)
            ));
            return None;
        }
    };
    Some(ExecutorConfig { system, slots })
}

fn slurm(table: &Table, home: Option<&Path>, problems: &mut Problems) -> Slurm {
    table.only(&SLURM_KEYS, " in an executor of Slurm", problems);
    Slurm {
        partition: text(table, "partition", problems),
        time: text(table, "time", problems),
        options: words(table, problems),
        program: text(table, "program", problems).map(|path| expand(&path, home)),
    }
}

fn ssh(node: &Node, table: &Table, home: Option<&Path>, problems: &mut Problems) -> Option<Ssh> {
    table.only(&SSH_KEYS, " in an executor of SSH", problems);
    let port = table.get("port").and_then(|node| {
        let port = node.to_json().as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if port.is_none() {
            problems.at(&node.span, "`port` must be a number from 1 to 65535").hint("leave it out for what `ssh` uses");
        }
        port
    });
    let host = text(table, "host", problems);
    let Some(host) = host.filter(|host| !host.is_empty() && !host.starts_with('-')) else {
        problems.at(&node.span, "an executor of SSH needs a `host`").hint("write `host = \"user@host\"`");
        return None;
    };
    let folder = text(table, "folder", problems).filter(|folder| !folder.is_empty());
    Some(Ssh {
        host,
        port,
        folder: folder.unwrap_or_else(|| FOLDER.to_owned()),
        options: words(table, problems),
        program: text(table, "program", problems).map(|path| expand(&path, home)),
    })
}

fn slots(table: &Table, problems: &mut Problems) -> usize {
    let Some(node) = table.get("slots") else { return DEFAULT_SLOTS };
    let slots = node.to_json().as_u64().filter(|slots| (1..=MOST_SLOTS).contains(slots));
    if slots.is_none() {
        problems
            .at(&node.span, format!("`slots` of an executor must be a number from 1 to {MOST_SLOTS}"))
            .hint("it limits how many attempts run or wait there");
    }
    slots.and_then(|slots| usize::try_from(slots).ok()).unwrap_or(DEFAULT_SLOTS)
}

fn text(table: &Table, key: &str, problems: &mut Problems) -> Option<String> {
    table.get(key)?.text(key, problems).map(|text| text.value)
}

fn words(table: &Table, problems: &mut Problems) -> Vec<String> {
    let Some(node) = table.get("options") else { return Vec::new() };
    let items = node.list("options", "options = [\"--gpus=1\"]", problems).unwrap_or_default();
    items.iter().filter_map(|item| item.text("options", problems)).map(|word| word.value).collect()
}

/// The pools with an `executor`.
fn of_pools(table: &Table, problems: &mut Problems) -> BTreeMap<String, String> {
    let Some(Node { data: Data::Table(pools), .. }) = table.get("pools") else { return BTreeMap::new() };
    let executor = |node: &Node, problems: &mut Problems| match &node.data {
        Data::Table(pool) => text(pool, "executor", problems),
        _ => None,
    };
    pools.entries.iter().filter_map(|(name, node)| Some((name.value.clone(), executor(node, problems)?))).collect()
}
