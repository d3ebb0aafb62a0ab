//! `[remote.NAME]` of a configuration file: an account with somebody who rents machines out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::home::expand;
use super::webhooks::{source, time};
use stepwell_base::secret::SecretSource;
use stepwell_base::suggest;
use stepwell_workflow::diagnostic::Problems;
use stepwell_workflow::document::{Node, Table};

const EXAMPLE: &str = "[remote.NAME], and below it `provider = \"lambda\"` and `key = { env = \"LAMBDA_API_KEY\" }`";
const KEYS: [&str; 13] = [
    "provider",
    "key",
    "url",
    "ssh_keys",
    "identity",
    "program",
    "folder",
    "timeout",
    "settle",
    "poll",
    "boot_timeout",
    "idle_after",
    "consent",
];
const MOST: usize = 16;
const MOST_WORDS: usize = 64;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Who is asked for machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemoteKind {
    Lambda,
    RunPod,
    Vast,
    /// A program of one's own.
    Command,
    /// A folder that plays a provider.
    Mock,
}

impl RemoteKind {
    pub const ALL: [(&'static str, RemoteKind); 5] = [
        ("lambda", RemoteKind::Lambda),
        ("runpod", RemoteKind::RunPod),
        ("vast", RemoteKind::Vast),
        ("command", RemoteKind::Command),
        ("mock", RemoteKind::Mock),
    ];

    pub fn as_str(self) -> &'static str {
        RemoteKind::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    fn needs_key(self) -> bool {
        matches!(self, RemoteKind::Lambda | RemoteKind::RunPod | RemoteKind::Vast)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteAccount {
    pub name: String,
    pub kind: RemoteKind,
    pub key: Option<SecretSource>,
    /// Instead of the provider's own address.
    pub url: Option<String>,
    /// Names of SSH keys at the provider.
    pub ssh_keys: Vec<String>,
    /// Private key file for `ssh`.
    pub identity: Option<PathBuf>,
    /// Program and arguments of the kind `command`.
    pub program: Vec<String>,
    /// Folder of the kind `mock`.
    pub folder: Option<PathBuf>,
    /// Of one call.
    pub timeout: Duration,
    /// Longest time for which the provider's list may lack a new instance.
    pub settle: Duration,
    /// Between two questions.
    pub poll: Duration,
    pub boot_timeout: Duration,
    /// Silence that counts as idle.
    pub idle_after: Duration,
    /// Time in which a plan can be confirmed.
    pub consent: Duration,
}

pub(super) fn accounts(table: &Table, home: Option<&Path>, problems: &mut Problems) -> Option<Vec<RemoteAccount>> {
    let tables = table.get("remote")?.table("remote", EXAMPLE, problems)?;
    if let Some((name, _)) = tables.entries.get(MOST) {
        problems.at(&name.span, format!("there are more than {MOST} providers")).hint("remove those that nobody uses");
    }
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for (name, node) in tables.entries.iter().take(MOST) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=64).contains(&name.value.len()) || !name.value.chars().all(plain) {
            problems.at(&name.span, "this is no name of a provider").hint("use up to 64 letters, digits, `-` and `_`");
            continue;
        }
        let account =
            node.table("remote", EXAMPLE, problems).and_then(|table| one(&name.value, node, table, home, problems));
        if let Some(account) = account.filter(|_| names.insert(name.value.clone())) {
            found.push(account);
        }
    }
    Some(found)
}

fn one(name: &str, node: &Node, table: &Table, home: Option<&Path>, problems: &mut Problems) -> Option<RemoteAccount> {
    table.only(&KEYS, " in [remote.NAME]", problems);
    let kind = kind(node, table, problems)?;
    let key = match table.get("key") {
        Some(node) => Some(source("key", node, problems)?),
        None => None,
    };
    let mut lacks = |is_there: bool, key: &str, example: &str| {
        if !is_there {
            let what = format!("a provider `{}` needs `{key}`", kind.as_str());
            problems.at(&node.span, what).hint(format!("write `{example}`"));
        }
        is_there
    };
    let is_complete = lacks(key.is_some() || !kind.needs_key(), "key", "key = { env = \"API_KEY\" }")
        && lacks(
            table.get("program").is_some() || kind != RemoteKind::Command,
            "program",
            "program = [\"./provider.sh\"]",
        )
        && lacks(table.get("folder").is_some() || kind != RemoteKind::Mock, "folder", "folder = \"cloud\"");
    if !is_complete {
        return None;
    }
    let mut path =
        |key: &str| table.get(key).and_then(|node| node.text(key, problems)).map(|text| expand(&text.value, home));
    let (identity, folder) = (path("identity"), path("folder"));
    Some(RemoteAccount {
        name: name.to_owned(),
        kind,
        key,
        url: url(table, problems)?,
        ssh_keys: words("ssh_keys", "ssh_keys = [\"laptop\"]", table, problems)?,
        identity,
        program: words("program", "program = [\"./provider.sh\"]", table, problems)?,
        folder,
        timeout: duration("timeout", 30, table, problems)?,
        settle: duration("settle", 30, table, problems)?,
        poll: duration("poll", 5, table, problems)?,
        boot_timeout: duration("boot_timeout", 20 * 60, table, problems)?,
        idle_after: duration("idle_after", 30 * 60, table, problems)?,
        consent: duration("consent", 15 * 60, table, problems)?,
    })
}

fn kind(node: &Node, table: &Table, problems: &mut Problems) -> Option<RemoteKind> {
    let Some(provider) = table.get("provider") else {
        problems.at(&node.span, "this needs a `provider`").hint(EXAMPLE);
        return None;
    };
    let text = provider.text("provider", problems)?;
    let found = RemoteKind::ALL.iter().find(|(name, _)| *name == text.value).map(|(_, kind)| *kind);
    if found.is_none() {
        let known = RemoteKind::ALL.iter().map(|(name, _)| *name);
        problems.at(&text.span, format!("there is no provider `{}`", text.value)).hint(suggest::hint(
            &text.value,
            "providers",
            known,
        ));
    }
    found
}

fn url(table: &Table, problems: &mut Problems) -> Option<Option<String>> {
    let Some(node) = table.get("url") else { return Some(None) };
    let text = node.text("url", problems)?;
    let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    let is_safe = text.value.starts_with("https://") || local.iter().any(|start| text.value.starts_with(start));
    let is_plain = text.value.len() <= 1024 && text.value.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_safe || !is_plain {
        problems.at(&text.span, "`url` must be an address with https").hint("the key of the account is sent to it");
        return None;
    }
    Some(Some(text.value.trim_end_matches('/').to_owned()))
}

fn words(key: &str, example: &str, table: &Table, problems: &mut Problems) -> Option<Vec<String>> {
    let Some(node) = table.get(key) else { return Some(Vec::new()) };
    let items = node.list(key, example, problems)?;
    if items.is_empty() || items.len() > MOST_WORDS {
        problems.at(&node.span, format!("`{key}` has 1 to {MOST_WORDS} texts")).hint(example);
        return None;
    }
    items.iter().map(|item| item.text(key, problems).map(|text| text.value)).collect()
}

fn duration(key: &str, default: u64, table: &Table, problems: &mut Problems) -> Option<Duration> {
    match table.get(key) {
        None => Some(Duration::from_secs(default)),
        Some(node) => time(key, node, LONGEST, problems),
    }
}
