//! Commands and events of the DevTools protocol, over one socket. Every wait has an end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::socket::Socket;

const ANSWER: Duration = Duration::from_secs(30);

pub struct Protocol {
    socket: Socket,
    next: u64,
    /// Events that no one has looked at yet.
    events: Vec<Value>,
}

impl Protocol {
    pub fn connect(port: u16, path: &str) -> Protocol {
        Protocol { socket: Socket::connect(port, path, ANSWER), next: 1, events: Vec::new() }
    }

    /// Sends a command and returns its result.
    #[track_caller]
    pub fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.try_call(session, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a command; the error is the browser's, of a page that has just been left for example.
    #[track_caller]
    pub fn try_call(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.next;
        self.next += 1;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = json!(session);
        }
        self.socket.send(&command.to_string());
        let deadline = Instant::now() + ANSWER;
        loop {
            let message: Value = serde_json::from_str(&self.socket.receive()).unwrap();
            if message["id"] == json!(id) {
                let error = &message["error"];
                return if error.is_null() { Ok(message["result"].clone()) } else { Err(error.clone()) };
            }
            self.events.push(message);
            assert!(Instant::now() < deadline, "no answer to {method}");
        }
    }

    /// Takes the events that have come so far.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }
}
