//! `stepwell webhook list|test|redeliver|secret`

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;
use crate::view::words::count;
use stepwell_base::suggest;
use stepwell_engine::Delivery;
use stepwell_store::{MessageRow, Reader};
use stepwell_workflow::webhook::Webhook;

/// Messages of one receiver that are shown, and those that were given up that `list` names.
const SHOWN: u32 = 20;
/// Messages that are sent again at a time.
const AT_ONCE: u32 = 1000;
/// Age of messages that still matter to people.
const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Tell other machines what happens
///
/// `[[webhook]]` in stepwell.toml names the receivers. The engine (`run`, `worker`, `serve`) sends them each event as a signed
/// message (Standard Webhooks), again and again until they answer with success.
#[derive(Subcommand, Debug)]
pub enum WebhookVerb {
    /// List the receivers with their last results, or the newest messages of one
    #[command(alias = "ls")]
    List {
        /// Name of the webhook
        #[arg(value_name = "WEBHOOK")]
        webhook: Option<String>,
    },
    /// Send a message of the type `webhook.test` now; exits with 3 if it does not arrive
    Test {
        /// Name of the webhook; without it, all of them
        #[arg(value_name = "WEBHOOK")]
        webhook: Option<String>,
    },
    Redeliver(RedeliverArgs),
    /// Print a new random secret, for the receiver and for the variable or file that `secret` names
    Secret,
}

/// Send messages again now, with their ids
#[derive(Args, Debug)]
pub struct RedeliverArgs {
    /// Ids of messages, or their starts, as `stepwell webhook list WEBHOOK` prints them
    #[arg(value_name = "MESSAGE", required_unless_present = "given_up")]
    pub messages: Vec<String>,
    /// All messages of this webhook that were given up
    #[arg(long, value_name = "WEBHOOK", conflicts_with = "messages")]
    pub given_up: Option<String>,
}

pub fn webhook(session: &Session, verb: &WebhookVerb) -> Result<Exit, CliError> {
    match verb {
        WebhookVerb::List { webhook: None } => list(session),
        WebhookVerb::List { webhook: Some(name) } => show(session, name),
        WebhookVerb::Test { webhook } => test(session, webhook.as_deref()),
        WebhookVerb::Redeliver(args) => redeliver(session, args),
        WebhookVerb::Secret => secret(session),
    }
}

fn list(session: &Session) -> Result<Exit, CliError> {
    let value = list_json(session)?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let cells = |one: &Value| {
        let last = match &one["last"] {
            Value::Null => "nothing sent yet".to_owned(),
            last if last["error"].is_null() => format!("{} arrived at {}", text(&last["type"]), text(&last["at"])),
            last => format!("{} failed at {}: {}", text(&last["type"]), text(&last["at"]), text(&last["error"])),
        };
        let name = if one["is_set"] == true {
            text(&one["name"])
        } else {
            format!("{} (not in the settings)", text(&one["name"]))
        };
        vec![name, text(&one["open"]), text(&one["delivered"]), text(&one["given_up"]), last]
    };
    let rows: Vec<Vec<String>> = value["webhooks"].as_array().into_iter().flatten().map(cells).collect();
    let human = match rows.is_empty() {
        true => "no webhooks: `[[webhook]]` in stepwell.toml sets them, see `stepwell webhook --help`".to_owned(),
        false => table(&["webhook", "to send", "arrived", "given up", "last"], rows),
    };
    session.out.document(&human, value)?;
    Ok(Exit::Ok)
}

/// The receivers with their last results.
pub fn list_json(session: &Session) -> Result<Value, CliError> {
    let webhooks = &session.settings.webhooks.value;
    let reader = match session.state_dir().join(stepwell_store::DATABASE_FILE).exists() {
        true => Some(session.reader()?),
        false => None,
    };
    let mut names: Vec<String> = webhooks.iter().map(|webhook| webhook.name.clone()).collect();
    if let Some(reader) = &reader {
        let known = reader.webhooks_with_messages()?;
        names.extend(known.into_iter().filter(|name| webhooks.iter().all(|webhook| webhook.name != *name)));
    }
    let values =
        names.iter().map(|name| form(reader.as_ref(), name, webhooks.iter().find(|webhook| webhook.name == *name)));
    Ok(json!({ "webhooks": values.collect::<Result<Vec<Value>, CliError>>()? }))
}

fn form(reader: Option<&Reader>, name: &str, webhook: Option<&Webhook>) -> Result<Value, CliError> {
    let (mut counts, mut last) = (Default::default(), Value::Null);
    if let Some(reader) = reader {
        counts = reader.message_counts(name)?;
        last = reader.last_attempt(name)?.as_ref().map_or(Value::Null, message_json);
    }
    Ok(json!({
        "name": name,
        "is_set": webhook.is_some(),
        // The rest of the address may be a secret.
        "host": webhook.map(|webhook| webhook.address.host()),
        "events": webhook.map(|webhook| webhook.events.iter().map(|pattern| pattern.as_str()).collect::<Vec<_>>()),
        "open": counts.open,
        "delivered": counts.delivered,
        "given_up": counts.given_up,
        "last": last,
    }))
}

fn message_json(row: &MessageRow) -> Value {
    json!({
        "id": row.id,
        "type": row.kind,
        "run": row.run,
        "created_at": row.created_at,
        "attempts": row.attempts,
        "at": row.last_at,
        "status": row.status,
        "error": row.error,
        "next_at": row.next_at,
        "outcome": row.outcome.map(|outcome| outcome.as_str()),
    })
}

fn show(session: &Session, name: &str) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let rows = reader.messages(name, SHOWN)?;
    if rows.is_empty() {
        // A wrong name gets its hint.
        find(session, name)?;
    }
    let time = |at: Option<Timestamp>| at.map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default();
    let cells = rows.iter().map(|row| {
        let state = match row.outcome {
            Some(outcome) => outcome.as_str().replace('_', " "),
            None => format!("next at {}", time(row.next_at)),
        };
        let error = row.error.clone().unwrap_or_default();
        vec![row.id.clone(), row.kind.clone(), time(Some(row.created_at)), row.attempts.to_string(), state, error]
    });
    let human = table(&["message", "type", "event at", "attempts", "state", "last error"], cells.collect());
    let values: Vec<Value> = rows.iter().map(message_json).collect();
    session.out.document(&human, json!({ "webhook": name, "messages": values }))?;
    Ok(Exit::Ok)
}

fn test(session: &Session, name: Option<&str>) -> Result<Exit, CliError> {
    let chosen: Vec<&Webhook> = match name {
        Some(name) => vec![find(session, name)?],
        None => session.settings.webhooks.value.iter().collect(),
    };
    if chosen.is_empty() {
        return Err(no_webhooks());
    }
    let mut deliveries = Vec::new();
    for webhook in chosen {
        deliveries.push((webhook.name.as_str(), stepwell_engine::test_webhook(session.state_dir(), webhook)?));
    }
    tell(session, &deliveries)
}

/// The result of a test, for the server.
pub fn test_json(session: &Session, name: &str) -> Result<Value, CliError> {
    let webhook = find(session, name)?;
    Ok(delivery_json(name, &stepwell_engine::test_webhook(session.state_dir(), webhook)?))
}

fn redeliver(session: &Session, args: &RedeliverArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let mut rows = Vec::new();
    match &args.given_up {
        Some(name) => rows = reader.given_up(name, Timestamp::MIN, AT_ONCE)?,
        None => {
            for id in &args.messages {
                let found = reader.messages_named(id)?;
                if found.is_empty() {
                    return Err(CliError::not_found(format!("there is no message `{id}`"))
                        .hint("`stepwell webhook list WEBHOOK` shows the newest ones"));
                }
                rows.extend(found);
            }
        }
    }
    let mut sent = Vec::new();
    for row in &rows {
        let webhook = find(session, &row.webhook)?;
        sent.push((row.webhook.as_str(), stepwell_engine::redeliver(session.state_dir(), webhook, row)?));
    }
    tell(session, &sent)
}

fn tell(session: &Session, deliveries: &[(&str, Delivery)]) -> Result<Exit, CliError> {
    let line = |(name, delivery): &(&str, Delivery)| {
        let took = format!("{:.2} s", delivery.took.as_secs_f64());
        match &delivery.error {
            None => {
                format!("{name}: {} arrived (answer {}, {took})\n", delivery.id, delivery.status.unwrap_or_default())
            }
            Some(why) => format!("{name}: {} did not arrive: {why} ({took})\n", delivery.id),
        }
    };
    let human = match deliveries.is_empty() {
        true => "there is no such message".to_owned(),
        false => deliveries.iter().map(line).collect(),
    };
    let values: Vec<Value> = deliveries.iter().map(|(name, delivery)| delivery_json(name, delivery)).collect();
    session.out.document(&human, json!({ "deliveries": values }))?;
    Ok(if deliveries.iter().all(|(_, delivery)| delivery.error.is_none()) { Exit::Ok } else { Exit::Failed })
}

fn delivery_json(name: &str, Delivery { id, status, error, took }: &Delivery) -> Value {
    json!({ "webhook": name, "id": id, "delivered": error.is_none(), "status": status, "error": error, "seconds": took.as_secs_f64() })
}

fn secret(session: &Session) -> Result<Exit, CliError> {
    let secret = stepwell_engine::new_secret()
        .ok_or_else(|| CliError::internal("make a secret", std::io::Error::other("the system has no random bytes")))?;
    session.out.document(&secret, json!({ "secret": secret }))?;
    Ok(Exit::Ok)
}

fn find<'s>(session: &'s Session, name: &str) -> Result<&'s Webhook, CliError> {
    let webhooks = &session.settings.webhooks.value;
    if webhooks.is_empty() {
        return Err(no_webhooks());
    }
    webhooks.iter().find(|webhook| webhook.name == name).ok_or_else(|| {
        let known: Vec<&str> = webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
        CliError::not_found(format!("there is no webhook `{name}` in the settings"))
            .hint(suggest::hint(name, "webhooks", known))
    })
}

fn no_webhooks() -> CliError {
    CliError::not_found("the settings have no webhooks")
        .hint("write `[[webhook]]` into stepwell.toml, and below it `url = \"https://...\"` and `secret = { env = \"HOOK_SECRET\" }`")
}

/// What `doctor` says: nothing without webhooks, and whether something is wrong.
pub fn health(session: &Session) -> Option<(String, bool)> {
    let webhooks = &session.settings.webhooks.value;
    if webhooks.is_empty() {
        return None;
    }
    let names: Vec<&str> = webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
    let mut text = format!("{}: {}", count(names.len() as u64, "receiver"), names.join(", "));
    let since = Timestamp::now().checked_sub(RECENT).unwrap_or(Timestamp::MIN);
    let mut is_wrong = false;
    // A state directory that does not exist yet has lost nothing.
    if let Ok(reader) = session.reader() {
        for name in &names {
            let lost = reader.given_up(name, since, AT_ONCE).map_or(0, |rows| rows.len());
            let open = reader.message_counts(name).map_or(0, |counts| counts.open);
            let failing = reader.last_attempt(name).ok().flatten().and_then(|row| row.error);
            if lost > 0 {
                text.push_str(&format!("; {name} has not got {} of this week", count(lost as u64, "message")));
            }
            if let Some(why) = failing.filter(|_| open > 0) {
                text.push_str(&format!("; {name} has {} to come, its last answer was: {why}", count(open, "message")));
                is_wrong = true;
            }
            is_wrong |= lost > 0;
        }
    }
    Some((text, is_wrong))
}
