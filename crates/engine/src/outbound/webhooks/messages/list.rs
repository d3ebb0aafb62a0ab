//! All subjects, and the messages that they lead to.

use jiff::Timestamp;
use serde_json::json;

use super::content::{Content, message_id};
use super::subject::Subject;
use super::{run, step};
use stepwell_run::event::Event;
use stepwell_store::{HashedEvent, NewMessage, Reader, StoreError};
use stepwell_workflow::webhook::{EventType, Webhook};

const SUBJECTS: [&dyn Subject; 2] = [&run::Runs, &step::Steps];

/// True if messages may come of this event.
pub(in crate::outbound) fn concerns(event: &Event) -> bool {
    SUBJECTS.iter().any(|subject| subject.concerns(event))
}

/// The messages of an event for one receiver. Rows that cannot be read lead to none, so that they stop no others.
///
/// # Errors
/// When the database cannot be read now.
pub(in crate::outbound::webhooks) fn messages(
    reader: &Reader,
    event: &HashedEvent,
    webhook: &Webhook,
) -> Result<Vec<NewMessage>, StoreError> {
    let mut messages = Vec::new();
    for subject in SUBJECTS.iter().filter(|subject| subject.concerns(&event.row.event)) {
        match subject.contents(reader, event) {
            Ok(contents) => {
                let wanted = contents.into_iter().filter(|content| webhook.wants(content.kind()));
                messages.extend(wanted.map(|content| content.message(event)));
            }
            Err(error @ (StoreError::Undecodable { .. } | StoreError::UnknownRun { .. })) => {
                tracing::warn!(run = %event.row.run, seq = event.row.seq, "no message of a damaged run: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(messages)
}

/// The message of a test.
pub(in crate::outbound::webhooks) fn test(webhook: &str, now: Timestamp, nonce: &str) -> NewMessage {
    let text = format!("a test of the webhook {webhook}");
    let content = Content::new(EventType::Test, text, json!({ "webhook": webhook }));
    content.at(now, message_id(nonce, EventType::Test), None)
}
