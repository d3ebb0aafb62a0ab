//! The thread of one receiver: stores its messages, and sends them until they have arrived or have failed too often.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::backoff;
use super::follow::Follower;
use super::send::{Sender, Sent};
use crate::inbox::Message;
use crate::outbound::bell::Bell;
use stepwell_base::error_chain::error_chain;
use stepwell_store::{After, Attempted, MessageOutcome, MessageRow, Store, StoreError};
use stepwell_workflow::webhook::Webhook;

/// Wait after a failure of this machine: an unreadable secret, a busy database, a full disk.
const OWN_FAULT: Duration = Duration::from_secs(30);
/// Time between two looks for messages that another process has stored, such as those of batches.
const LOOK: Duration = Duration::from_secs(10);
/// Status of a receiver that wants no more messages.
const GONE: u16 = 410;

pub(in crate::outbound) struct Receiver {
    pub(in crate::outbound) webhook: Webhook,
    pub(in crate::outbound) state_dir: PathBuf,
    pub(in crate::outbound) bell: Arc<Bell>,
    /// Takes warnings for people.
    pub(in crate::outbound) inbox: SyncSender<Message>,
}

/// What the thread works with once the database is open.
struct Line {
    store: Store,
    follower: Follower,
    sender: Sender,
    /// Attempts without an answer in a row, and the time until which the receiver is left alone.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Receiver {
    /// Works until the bell says that the engine ends.
    pub(in crate::outbound) fn serve(&self) {
        let mut line = None;
        let mut warned = false;
        loop {
            // Read before the work: everything that was committed until the end is taken up once more.
            let ends_at = self.bell.ends_at();
            match (self.turn(&mut line), ends_at) {
                (Ok(()), None) => {}
                (Ok(()), Some(at)) if self.has_more(line.as_ref()) && Instant::now() < at => {}
                (_, Some(_)) => return,
                (Err(why), None) => {
                    if !std::mem::replace(&mut warned, true) {
                        self.warn(format!("webhook `{}`: {why}; it is tried again", self.webhook.name));
                    }
                    // The store may be in any state.
                    line = None;
                    self.bell.wait(Some(OWN_FAULT));
                    continue;
                }
            }
            if let Some(line) = &line
                && self.bell.ends_at().is_none()
            {
                self.bell.wait(Some(self.pause(line)));
            }
        }
    }

    fn turn(&self, line: &mut Option<Line>) -> Result<(), String> {
        match line {
            Some(line) => self.work(line),
            None => self.work(line.insert(self.open()?)),
        }
    }

    fn open(&self) -> Result<Line, String> {
        let mut store = Store::open(&self.state_dir).map_err(|error| error_chain(&error))?;
        let follower = Follower::open(&mut store, &self.webhook).map_err(|error| error_chain(&error))?;
        Ok(Line { store, follower, sender: Sender::new(&self.webhook)?, failures: 0, rests_until: None })
    }

    /// Takes up new events and sends what is due, one message.
    fn work(&self, line: &mut Line) -> Result<(), String> {
        line.follower.catch_up(&mut line.store, &self.webhook).map_err(|error| error_chain(&error))?;
        let Some(message) = self.due(line).map_err(|error| error_chain(&error))? else { return Ok(()) };
        let timeout = match self.bell.ends_at() {
            None => self.webhook.timeout,
            Some(at) => self.webhook.timeout.min(at.saturating_duration_since(Instant::now())),
        };
        if timeout.is_zero() {
            return Ok(());
        }
        let now = Timestamp::now();
        let sent = line.sender.send(&self.webhook, &message, (now, timeout))?;
        line.failures = if matches!(sent, Sent::Lost { .. }) { line.failures + 1 } else { 0 };
        line.rests_until = (line.failures > 0).then(|| Instant::now() + backoff::rest(line.failures - 1));
        let attempted = attempted(&self.webhook, &message, now, &sent);
        self.say(&message, &attempted);
        line.store.note_attempt(message.number, &attempted).map_err(|error| error_chain(&error))
    }

    /// The message to send now.
    fn due(&self, line: &Line) -> Result<Option<MessageRow>, StoreError> {
        if line.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        let next = line.store.reader().next_message(&self.webhook.name)?;
        Ok(next.filter(|message| until(&self.webhook, message).is_zero()))
    }

    fn has_more(&self, line: Option<&Line>) -> bool {
        line.is_some_and(|line| self.due(line).is_ok_and(|due| due.is_some()))
    }

    /// The wait until the next attempt or look; zero if a message is due.
    fn pause(&self, line: &Line) -> Duration {
        let resting = line.rests_until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        match line.store.reader().next_message(&self.webhook.name) {
            Ok(Some(message)) => until(&self.webhook, &message).max(resting).min(LOOK),
            Ok(None) => LOOK,
            Err(_) => OWN_FAULT,
        }
    }

    fn say(&self, message: &MessageRow, attempted: &Attempted) {
        let (name, kind, id) = (&self.webhook.name, &message.kind, &message.id);
        let why = attempted.error.as_deref().unwrap_or_default();
        match attempted.after {
            After::Ended(MessageOutcome::Delivered) => tracing::info!(webhook = name, kind, id, "message delivered"),
            After::At(at) => tracing::info!(webhook = name, kind, id, %at, "message not delivered: {why}"),
            After::Ended(MessageOutcome::GivenUp) => self.warn(format!(
                "webhook `{name}` has not got the message {id} ({kind}) after {} attempts: {why}; \
                 `stepwell webhook redeliver {id}` sends it again",
                message.attempts.saturating_add(1)
            )),
        }
    }

    /// A full inbox loses the warning, never the message.
    fn warn(&self, text: String) {
        let _ = self.inbox.try_send(Message::Warning(text));
    }
}

/// Time until the next attempt by the wall clock.
fn until(webhook: &Webhook, message: &MessageRow) -> Duration {
    let Some(next) = message.next_at else { return Duration::ZERO };
    let left = next.duration_since(Timestamp::now());
    let left = Duration::try_from(left.max(SignedDuration::ZERO)).unwrap_or_default();
    if left > backoff::longest(&webhook.retries) { Duration::ZERO } else { left }
}

/// What is noted about an attempt, and what comes after it.
pub(super) fn attempted(webhook: &Webhook, message: &MessageRow, at: Timestamp, sent: &Sent) -> Attempted {
    let (status, error, asked) = match sent {
        Sent::Delivered { status } => {
            let after = After::Ended(MessageOutcome::Delivered);
            return Attempted { at, status: Some(*status), error: None, after };
        }
        Sent::Refused { status, why, retry_after } => {
            let why = if why.is_empty() { format!("answer {status}") } else { format!("answer {status}: {why}") };
            (Some(*status), why, *retry_after)
        }
        Sent::Lost { why } => (None, why.clone(), None),
    };
    let wait = match status {
        Some(GONE) => None,
        _ => backoff::wait(&webhook.retries, message.attempts.saturating_add(1), asked, &message.id),
    };
    let next = wait.and_then(|wait| SignedDuration::try_from(wait).ok()).and_then(|wait| at.checked_add(wait).ok());
    let after = next.map_or(After::Ended(MessageOutcome::GivenUp), After::At);
    Attempted { at, status, error: Some(error), after }
}
