//! The content of a message, and the message that it becomes.

use jiff::Timestamp;
use serde_json::{Value, json};

use stepwell_base::ids::RunId;
use stepwell_store::{HashedEvent, NewMessage};
use stepwell_workflow::webhook::EventType;

/// Largest body in bytes. Receivers refuse what is much larger.
const LARGEST: usize = 16 << 10;

/// A message as a receiver gets it.
pub(super) struct Content {
    kind: EventType,
    /// One line for people. Chat services show it.
    text: String,
    /// Depends on the type.
    data: Value,
}

impl Content {
    pub(super) fn new(kind: EventType, text: String, data: Value) -> Content {
        Content { kind, text, data }
    }

    pub(super) fn kind(&self) -> EventType {
        self.kind
    }

    pub(super) fn message(self, event: &HashedEvent) -> NewMessage {
        let id = message_id(&event.hash, self.kind);
        self.at(event.row.at, id, Some(event.row.run))
    }

    /// The message about something that happened at this time.
    pub(super) fn at(mut self, at: Timestamp, id: String, run: Option<RunId>) -> NewMessage {
        let mut body = self.body(at);
        if body.len() > LARGEST {
            self.data["values"] = Value::Null;
            body = self.body(at);
        }
        NewMessage { id, kind: self.kind.as_str(), run, body, created_at: at, first_at: at }
    }

    fn body(&self, at: Timestamp) -> String {
        json!({ "type": self.kind.as_str(), "timestamp": format!("{at:.3}"), "text": self.text, "data": self.data })
            .to_string()
    }
}

/// The id of a message. It depends on the event and the type only, so a second engine makes the same id.
pub(super) fn message_id(hash: &str, kind: EventType) -> String {
    let hash = blake3::hash(format!("{hash} {}", kind.as_str()).as_bytes()).to_hex();
    format!("msg_{}", &hash[..32])
}
