//! What a person consents to: a machine, a command, a price and a limit.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::money::{Cents, Price};

/// Starts the name of every instance that Stepwell launches. `audit` finds instances by it.
pub const PREFIX: &str = "stepwell-";
/// Hexadecimal digits after the prefix, of 62 random bits.
const DIGITS: usize = 16;
/// Digits of a digest that people paste. It guards against a changed plan, not against a forger with access to the database.
const DIGEST_DIGITS: usize = 16;

/// Names a machine here and its instance at the provider. It is chosen before the first call, and never used again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    pub fn random() -> Key {
        let text = Uuid::now_v7().simple().to_string();
        Key(format!("{PREFIX}{}", &text[text.len() - DIGITS..]))
    }

    /// `None` for a text that [`Key::random`] cannot have made.
    pub fn parse(text: &str) -> Option<Key> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_ours = digits.len() == DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_ours.then(|| Key(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file that is copied onto the machine before its command starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// Path on the machine, below its work folder.
    pub to: String,
    /// Path on this machine.
    pub from: String,
    pub bytes: u64,
    pub sha256: String,
}

/// What is copied in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SyncList {
    pub up: Vec<Upload>,
    /// Files and folders of the machine that are copied back: its artifacts. Terminating waits for them.
    pub down: Vec<String>,
}

/// The check on this machine before money is spent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preflight {
    /// These commands succeeded when the plan was made.
    Passed { commands: Vec<String> },
    /// A person wanted none.
    Skipped,
}

/// Everything that a confirmation of a launch covers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub schema: u32,
    pub key: Key,
    /// Name of the provider in the settings.
    pub provider: String,
    pub host_type: String,
    pub region: Option<String>,
    pub image: Option<String>,
    /// Shell command that the machine runs.
    pub command: String,
    /// Shell command that makes the work write a checkpoint, used at the price cap.
    pub checkpoint: Option<String>,
    pub price: Price,
    pub estimated_ms: u64,
    pub estimated_cost: Cents,
    /// The cap: at this cost the work writes a checkpoint, files are copied, and a person is asked.
    pub maximum_cost: Cents,
    pub sync: SyncList,
    pub preflight: Preflight,
    pub created_at: Timestamp,
    /// A later confirmation is refused.
    pub expires_at: Timestamp,
}

impl Plan {
    /// What `--confirm` must name: any change of the plan changes it.
    pub fn digest(&self) -> String {
        digest("launch", self)
    }
}

/// The digest of a plan for `action`, which must be of a type whose JSON is never refused.
pub(crate) fn digest(action: &str, plan: &impl Serialize) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"stepwell.remote.").update(action.as_bytes()).update(b"\0");
    // Plans hold texts, numbers and lists only, so this cannot fail; an empty text would change every digest.
    hasher.update(serde_json::to_string(plan).unwrap_or_default().as_bytes());
    hasher.finalize().to_hex()[..DIGEST_DIGITS].to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use stepwell_base::duration::later;

    pub(crate) fn plan() -> Plan {
        let created_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Plan {
            schema: 1,
            key: Key(format!("{PREFIX}0123456789abcdef")),
            provider: "test".to_owned(),
            host_type: "small".to_owned(),
            region: None,
            image: None,
            command: "train".to_owned(),
            checkpoint: None,
            price: Price(500_000),
            estimated_ms: 3_600_000,
            estimated_cost: Cents(50),
            maximum_cost: Cents(100),
            sync: SyncList::default(),
            preflight: Preflight::Skipped,
            created_at,
            expires_at: later(created_at, Duration::from_secs(900)),
        }
    }

    #[test]
    fn every_part_of_a_plan_changes_its_digest() {
        let base = plan();
        let change = |change: fn(&mut Plan)| {
            let mut changed = plan();
            change(&mut changed);
            assert_ne!(changed.digest(), base.digest(), "{changed:?}");
        };
        change(|plan| plan.key = Key::random());
        change(|plan| plan.provider.push('x'));
        change(|plan| plan.host_type.push('x'));
        change(|plan| plan.region = Some(String::new()));
        change(|plan| plan.command.push('x'));
        change(|plan| plan.checkpoint = Some(String::new()));
        change(|plan| plan.price.0 += 1);
        change(|plan| plan.estimated_cost.0 += 1);
        change(|plan| plan.maximum_cost.0 += 1);
        change(|plan| plan.sync.down.push("out".to_owned()));
        change(|plan| plan.preflight = Preflight::Passed { commands: Vec::new() });
        change(|plan| plan.expires_at = later(plan.expires_at, Duration::from_millis(1)));
        assert_eq!(base.digest(), plan().digest());
        assert_ne!(digest("launch", &base), digest("terminate", &base));
    }

    #[test]
    fn only_our_own_names_are_keys() {
        let key = Key::random();
        assert_eq!(Key::parse(key.as_str()), Some(key));
        for other in ["", "stepwell-", "stepwell-0123456789ABCDEF", "stepwell-0123456789abcdef0", "x-0123456789abcdef"]
        {
            assert_eq!(Key::parse(other), None, "{other}");
        }
    }
}
