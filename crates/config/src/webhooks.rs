//! `[[webhook]]` of a configuration file: who gets events, and how messages are signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::home::expand;
use stepwell_base::secret::{SecretSource, sounds_secret};
use stepwell_base::{duration, suggest};
use stepwell_workflow::diagnostic::Problems;
use stepwell_workflow::document::{Data, Node, Table};
use stepwell_workflow::webhook::{Address, EventType, HeaderValue, Pattern, Webhook};

const EXAMPLE: &str = "[[webhook]], and below it `url = \"https://...\"` and `secret = { env = \"HOOK_SECRET\" }`";
const KEYS: [&str; 9] = ["url", "name", "events", "secret", "headers", "ca", "insecure_http", "retries", "timeout"];
const SOURCE: &str = "write `{ env = \"VARIABLE\" }` or `{ file = \"PATH\" }`";
/// Each has a thread of its own.
const MOST: usize = 16;
/// Secrets that are valid at a time: the old one and the new one.
const MOST_SECRETS: usize = 2;
const MOST_HEADERS: usize = 16;
const MOST_RETRIES: usize = 20;
const LONGEST_RETRY: Duration = Duration::from_secs(7 * 24 * 3600);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Nine attempts within 28 hours, near to what Standard Webhooks proposes.
const DEFAULT_RETRIES: [u64; 8] = [5, 30, 300, 1800, 7200, 18_000, 36_000, 36_000];

pub(super) fn webhooks(table: &Table, home: Option<&Path>, problems: &mut Problems) -> Option<Vec<Webhook>> {
    let items = table.get("webhook")?.list("webhook", EXAMPLE, problems)?;
    if let Some(first) = items.get(MOST) {
        problems
            .at(&first.span, format!("there are more than {MOST} webhooks"))
            .hint("let one receiver pass events on");
    }
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for item in items.iter().take(MOST) {
        let Some(webhook) = item.table("webhook", EXAMPLE, problems).and_then(|table| one(item, table, home, problems))
        else {
            continue;
        };
        if !names.insert(webhook.name.clone()) {
            problems
                .at(&item.span, format!("there are two webhooks `{}`", webhook.name))
                .hint("give each a `name` of its own");
        }
        found.push(webhook);
    }
    Some(found)
}

fn one(item: &Node, table: &Table, home: Option<&Path>, problems: &mut Problems) -> Option<Webhook> {
    table.only(&KEYS, " in [[webhook]]", problems);
    let address = address(item, table, problems)?;
    let name = match table.get("name") {
        Some(node) => name(node, problems)?,
        None => address.host().to_owned(),
    };
    Some(Webhook {
        name,
        events: events(table, problems)?,
        secrets: secrets(item, table, problems)?,
        headers: headers(table, problems)?,
        ca: match table.get("ca") {
            Some(node) => Some(expand(&node.text("ca", problems)?.value, home)),
            None => None::<PathBuf>,
        },
        retries: retries(table, problems)?,
        timeout: timeout(table, problems)?,
        address,
    })
}

fn address(item: &Node, table: &Table, problems: &mut Problems) -> Option<Address> {
    let Some(node) = table.get("url") else {
        problems.at(&item.span, "a webhook needs a `url`").hint(EXAMPLE);
        return None;
    };
    let text = node.text("url", problems)?;
    let address = match Address::parse(&text.value) {
        Ok(address) => address,
        Err((what, hint)) => {
            problems.at(&text.span, format!("`url` {what}")).hint(hint);
            return None;
        }
    };
    let insecure = match table.get("insecure_http").map(|node| (node.to_json().as_bool(), node)) {
        None => false,
        Some((Some(insecure), _)) => insecure,
        Some((None, node)) => {
            problems.at(&node.span, "`insecure_http` must be true or false").hint("leave it out for https");
            return None;
        }
    };
    if !address.is_encrypted() && !address.is_loopback() && !insecure {
        problems
            .at(&text.span, "`url` leaves this machine without encryption")
            .hint("use https, or say `insecure_http = true` for a network that you trust");
        return None;
    }
    Some(address)
}

fn name(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.text("name", problems)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    if (1..=100).contains(&text.value.len()) && text.value.chars().all(plain) {
        return Some(text.value);
    }
    problems.at(&text.span, "this is no name of a webhook").hint("use up to 100 letters, digits, `-`, `_` and `.`");
    None
}

fn events(table: &Table, problems: &mut Problems) -> Option<Vec<Pattern>> {
    let Some(node) = table.get("events") else { return Some(vec![Pattern::all()]) };
    let mut patterns = Vec::new();
    for item in node.list("events", "events = [\"run.*\", \"step.failed\"]", problems)? {
        let text = item.text("events", problems)?;
        match Pattern::parse(&text.value) {
            Some(pattern) => patterns.push(pattern),
            None => {
                let known = EventType::ALL.iter().map(|kind| kind.as_str());
                problems.at(&text.span, format!("no event has the type `{}`", text.value)).hint(suggest::hint(
                    &text.value,
                    "types",
                    known.chain(["*", "run.*"]),
                ));
            }
        }
    }
    Some(patterns)
}

fn secrets(item: &Node, table: &Table, problems: &mut Problems) -> Option<Vec<SecretSource>> {
    let Some(node) = table.get("secret") else {
        problems.at(&item.span, "a webhook needs a `secret`, which signs its messages").hint(
            "write `secret = { env = \"HOOK_SECRET\" }`; its value is `whsec_` and the base64 of 24 to 64 random bytes",
        );
        return None;
    };
    let nodes = match &node.data {
        Data::List(items) if (1..=MOST_SECRETS).contains(&items.len()) => items.iter().collect(),
        Data::List(_) => {
            problems
                .at(&node.span, format!("`secret` has 1 to {MOST_SECRETS} sources"))
                .hint("the old one and the new one");
            return None;
        }
        _ => vec![node],
    };
    nodes.into_iter().map(|node| source("secret", node, problems)).collect()
}

pub(super) fn source(what: &str, node: &Node, problems: &mut Problems) -> Option<SecretSource> {
    let Data::Table(table) = &node.data else {
        problems.at(&node.span, format!("`{what}` must name the source of its value, not hold it")).hint(SOURCE);
        return None;
    };
    table.only(&["env", "file"], " in a secret", problems);
    let source = match (table.get("env"), table.get("file")) {
        (Some(node), None) => SecretSource::Env(node.text("env", problems)?.value),
        (None, Some(node)) => SecretSource::File(node.text("file", problems)?.value),
        _ => {
            problems.at(&node.span, format!("`{what}` needs one source")).hint(SOURCE);
            return None;
        }
    };
    let (SecretSource::Env(text) | SecretSource::File(text)) = &source;
    if text.is_empty() || text.contains('\0') {
        problems.at(&node.span, format!("`{what}` names a source that cannot exist")).hint(SOURCE);
        return None;
    }
    Some(source)
}

fn headers(table: &Table, problems: &mut Problems) -> Option<BTreeMap<String, HeaderValue>> {
    let Some(node) = table.get("headers") else { return Some(BTreeMap::new()) };
    let entries =
        node.table("headers", "headers = { X-Team = \"lab\", Authorization = { env = \"AUTH\" } }", problems)?;
    if entries.entries.len() > MOST_HEADERS {
        problems.at(&node.span, format!("there are more than {MOST_HEADERS} headers")).hint("a webhook needs few");
        return None;
    }
    let mut headers = BTreeMap::new();
    for (name, node) in &entries.entries {
        let lower = name.value.to_ascii_lowercase();
        let is_token =
            !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_token {
            problems.at(&name.span, "this is no name of a header").hint("letters, digits and `-`, such as `X-Team`");
            return None;
        }
        if ["host", "content-length", "content-type", "transfer-encoding", "connection"].contains(&lower.as_str())
            || lower.starts_with("webhook-")
        {
            problems.at(&name.span, format!("the header `{}` is set by stepwell", name.value)).hint("leave it out");
            return None;
        }
        let value = match &node.data {
            Data::Text(_) if lower == "authorization" || sounds_secret(&lower) => {
                problems.at(&node.span, format!("the header `{}` sounds like a secret", name.value)).hint(SOURCE);
                return None;
            }
            Data::Text(text) if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) => {
                HeaderValue::Text(text.clone())
            }
            Data::Text(_) => {
                problems.at(&node.span, "a header is plain ASCII text").hint("encode it");
                return None;
            }
            _ => HeaderValue::Secret(source(&name.value, node, problems)?),
        };
        headers.insert(name.value.clone(), value);
    }
    Some(headers)
}

fn retries(table: &Table, problems: &mut Problems) -> Option<Vec<Duration>> {
    let Some(node) = table.get("retries") else {
        return Some(DEFAULT_RETRIES.map(Duration::from_secs).to_vec());
    };
    let items = node.list("retries", "retries = [\"5s\", \"5m\", \"1h\"]", problems)?;
    if items.len() > MOST_RETRIES {
        problems.at(&node.span, format!("there are more than {MOST_RETRIES} retries")).hint("let the waits grow");
        return None;
    }
    items.iter().map(|item| time("retries", item, LONGEST_RETRY, problems)).collect()
}

fn timeout(table: &Table, problems: &mut Problems) -> Option<Duration> {
    match table.get("timeout") {
        None => Some(DEFAULT_TIMEOUT),
        Some(node) => time("timeout", node, LONGEST_TIMEOUT, problems),
    }
}

pub(super) fn time(key: &str, node: &Node, longest: Duration, problems: &mut Problems) -> Option<Duration> {
    let text = node.text(key, problems)?;
    let found = duration::parse(&text.value).filter(|time| !time.is_zero() && *time <= longest);
    if found.is_none() {
        problems
            .at(&text.span, format!("`{key}` cannot be `{}`", text.value))
            .hint(format!("a duration such as \"5s\", up to {} s", longest.as_secs()));
    }
    found
}
