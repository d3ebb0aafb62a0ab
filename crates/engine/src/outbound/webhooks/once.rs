//! Sends one message now, because a person asks.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::messages;
use super::receiver::attempted;
use super::send::{Sender, Sent};
use crate::error::EngineError;
use stepwell_store::{After, MessageOutcome, MessageRow, Store};
use stepwell_workflow::webhook::Webhook;

/// Time after which an engine sends the message, if this process has not.
const TAKEN_UP: SignedDuration = SignedDuration::from_secs(120);

/// The fate of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub id: String,
    /// Of the answer, if there was one.
    pub status: Option<u16>,
    /// `None` if it has arrived.
    pub error: Option<String>,
    pub took: Duration,
}

/// Sends a message of the type `webhook.test`.
///
/// # Errors
/// `Webhook` when this machine cannot send, and those of the store.
pub fn test(state_dir: &Path, webhook: &Webhook) -> Result<Delivery, EngineError> {
    let mut store = Store::open(state_dir)?;
    let now = Timestamp::now();
    let mut message = messages::test(&webhook.name, now, &Uuid::now_v7().to_string());
    message.first_at = now.checked_add(TAKEN_UP).unwrap_or(now);
    store.add_message(&webhook.name, &message)?;
    let stored = store.reader().messages_named(&message.id)?.into_iter().find(|row| row.webhook == webhook.name);
    match stored {
        // A failed test is no news that somebody waits for.
        Some(row) => send(&mut store, webhook, &row, LastWord::GiveUp),
        None => Err(EngineError::Webhook { name: webhook.name.clone(), why: "the message was removed".to_owned() }),
    }
}

/// Sends a message again, with its id.
///
/// # Errors
/// Those of [`test()`].
pub fn redeliver(state_dir: &Path, webhook: &Webhook, message: &MessageRow) -> Result<Delivery, EngineError> {
    let last = if message.outcome.is_some() { LastWord::GiveUp } else { LastWord::AsPlanned };
    send(&mut Store::open(state_dir)?, webhook, message, last)
}

/// What follows a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastWord {
    /// A person has seen it.
    GiveUp,
    /// The attempt is one of those that the settings plan.
    AsPlanned,
}

fn send(store: &mut Store, webhook: &Webhook, message: &MessageRow, last: LastWord) -> Result<Delivery, EngineError> {
    let own_fault = |why: String| EngineError::Webhook { name: webhook.name.clone(), why };
    let start = std::time::Instant::now();
    let sender = Sender::new(webhook).map_err(own_fault)?;
    let now = Timestamp::now();
    let sent = sender.send(webhook, message, (now, webhook.timeout)).map_err(own_fault)?;
    let took = start.elapsed();
    let mut attempted = attempted(webhook, message, now, &sent);
    if last == LastWord::GiveUp && !matches!(sent, Sent::Delivered { .. }) {
        attempted.after = After::Ended(MessageOutcome::GivenUp);
    }
    store.note_attempt(message.number, &attempted)?;
    Ok(Delivery { id: message.id.clone(), status: attempted.status, error: attempted.error, took })
}
