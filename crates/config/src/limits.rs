//! `[pools]`, `[rate_limits]`, `[alerts]`, `[notify]` and `log_limit` of a configuration file.

use std::collections::{BTreeMap, BTreeSet};

use stepwell_base::amount;
use stepwell_workflow::diagnostic::Problems;
use stepwell_workflow::document::{Data, Node, Table};
use stepwell_workflow::pools::{Pool, Pools};
use stepwell_workflow::rate_limit::RateLimit;

pub(super) fn pools(table: &Table, problems: &mut Problems) -> Option<Pools> {
    let table = table.get("pools")?.table("pools", "pools = { gpu = 2 }", problems)?;
    let mut pools = BTreeMap::new();
    for (name, node) in &table.entries {
        if let Some(pool) = pool(&name.value, node, problems) {
            pools.insert(name.value.clone(), pool);
        }
    }
    Some(Pools(pools))
}

fn pool(name: &str, node: &Node, problems: &mut Problems) -> Option<Pool> {
    let amount = match &node.data {
        Data::List(items) => return devices(name, items, problems),
        Data::Table(table) => {
            table.only(&["units", "executor"], " in a pool", problems);
            let Some(units) = table.get("units") else {
                problems.at(&node.span, format!("pool `{name}` has no `units`")).hint("write `units = 8`");
                return None;
            };
            return pool(name, units, problems);
        }
        Data::Text(text) => amount::parse(text),
        _ => node.to_json().as_u64(),
    };
    if amount.is_none() {
        problems
            .at(&node.span, format!("pool `{name}` must be a list of devices, a whole number, or an amount"))
            .hint("write `gpu = [\"gpu:0\", \"gpu:1\"]`, `licences = 3` or `memory = \"64GiB\"`");
    }
    amount.map(Pool::Amount)
}

fn devices(name: &str, items: &[Node], problems: &mut Problems) -> Option<Pool> {
    let names: Vec<_> = items.iter().filter_map(|item| item.text(name, problems)).collect();
    let mut seen = BTreeSet::new();
    for name in &names {
        let plain = |c: char| c.is_ascii_graphic() && c != ',';
        if name.value.is_empty() || !name.value.chars().all(plain) {
            problems.at(&name.span, format!("`{}` is not the name of a device", name.value)).hint("such as \"gpu:0\"");
        } else if !seen.insert(name.value.as_str()) {
            problems.at(&name.span, format!("device `{}` is listed twice", name.value)).hint("list each device once");
        }
    }
    (names.len() == items.len()).then(|| Pool::Devices(names.into_iter().map(|name| name.value).collect()))
}

pub(super) fn rate_limits(table: &Table, problems: &mut Problems) -> Option<BTreeMap<String, RateLimit>> {
    let table = table.get("rate_limits")?.table("rate_limits", "rate_limits = { api = \"10/min\" }", problems)?;
    let mut limits = BTreeMap::new();
    for (name, node) in &table.entries {
        let Some(text) = node.text(&name.value, problems) else { continue };
        match RateLimit::parse(&text.value) {
            Some(limit) => {
                limits.insert(name.value.clone(), limit);
            }
            None => {
                problems
                    .at(&text.span, format!("rate limit `{}` cannot be `{}`", name.value, text.value))
                    .hint("write \"10/min\", \"1/s\", \"100/h\" or \"5/10m\"");
            }
        }
    }
    Some(limits)
}

pub(super) fn alert_command(table: &Table, problems: &mut Problems) -> Option<Vec<String>> {
    let table = table.get("alerts")?.table("alerts", "alerts = { command = [\"program\"] }", problems)?;
    table.only(&["command"], " in [alerts]", problems);
    let items = table.get("command")?.list("command", "command = [\"program\", \"argument\"]", problems)?;
    Some(items.iter().filter_map(|item| item.text("command", problems)).map(|word| word.value).collect())
}

pub(super) fn notify_command(table: &Table, problems: &mut Problems) -> Option<Vec<String>> {
    let table = table.get("notify")?.table("notify", "notify = { command = [\"program\"] }", problems)?;
    if let Some(node) = table.get("url") {
        problems
            .at(&node.span, "`url` is not a key of [notify]: a program sends the message")
            .hint("write `command = [\"curl\", \"-fsS\", \"--json\", \"@-\", \"https://...\"]`");
    }
    table.only(&["command", "url"], " in [notify]", problems);
    let items = table.get("command")?.list("command", "command = [\"program\", \"argument\"]", problems)?;
    Some(items.iter().filter_map(|item| item.text("command", problems)).map(|word| word.value).collect())
}

/// Minimum bytes that leave room for a useful start and end of a log.
const LEAST_LOG_LIMIT: u64 = 64 << 10;

pub(super) const LOG_LIMITS: &str = "0 or an amount of at least \"64KiB\"";

pub(super) fn log_limit(table: &Table, problems: &mut Problems) -> Option<u64> {
    let node = table.get("log_limit")?;
    let limit = match &node.data {
        Data::Text(text) => parse_log_limit(text),
        _ => node.to_json().as_u64().filter(|limit| is_log_limit(*limit)),
    };
    if limit.is_none() {
        problems
            .at(&node.span, format!("`log_limit` must be {LOG_LIMITS}"))
            .hint("it limits the log of an attempt; 0 turns this off");
    }
    limit
}

pub(super) fn parse_log_limit(text: &str) -> Option<u64> {
    amount::parse(text).filter(|limit| is_log_limit(*limit))
}

fn is_log_limit(limit: u64) -> bool {
    limit == 0 || limit >= LEAST_LOG_LIMIT
}
