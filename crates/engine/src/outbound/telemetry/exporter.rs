//! The thread that sends spans, in the order of the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ureq::Agent;

use super::otlp;
use super::settings::Settings;
use super::spans::{ends_spans, spans};
use super::story::Stories;
use crate::inbox::Message;
use crate::outbound::bell::Bell;
use stepwell_base::error_chain::error_chain;
use stepwell_run::event::Event;
use stepwell_store::{Store, StoreError};

/// Name of the cursor. No webhook can have it: a slash is in no name.
pub(in crate::outbound) const CURSOR: &str = "otel/traces";
/// Events that are looked at together.
const PAGE: u32 = 200;
/// Events without a span after which the cursor is worth a commit.
const WORTH_A_COMMIT: i64 = 5000;
/// Waits after failures, which double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

pub(in crate::outbound) struct Exporter {
    pub(in crate::outbound) settings: Settings,
    pub(in crate::outbound) state_dir: PathBuf,
    pub(in crate::outbound) bell: Arc<Bell>,
    /// Takes warnings for people.
    pub(in crate::outbound) inbox: SyncSender<Message>,
}

struct Place {
    store: Store,
    agent: Agent,
    stories: Stories,
    /// Newest event that was looked at, and what the database says.
    seen: i64,
    stored: i64,
    /// The next message to send.
    ready: Option<Ready>,
}

/// The spans of some events, as a request; `None` if they have none.
struct Ready {
    body: Option<String>,
    last: i64,
}

impl Place {
    /// The next request; `None` if there are no new events.
    fn next(&mut self, settings: &Settings) -> Result<Option<Ready>, StoreError> {
        let reader = self.store.reader();
        let page = reader.events_page(None, self.seen, PAGE)?;
        let Some(last) = page.last().map(|event| event.seq) else { return Ok(None) };
        let mut found = Vec::new();
        for row in &page {
            if ends_spans(&row.event) {
                match spans(reader, &mut self.stories, row) {
                    Ok(spans) => found.extend(spans),
                    Err(error @ (StoreError::Undecodable { .. } | StoreError::UnknownRun { .. })) => {
                        tracing::warn!(run = %row.run, seq = row.seq, "no spans of a damaged run: {error}");
                    }
                    Err(error) => return Err(error),
                }
            }
            self.stories.see(row);
        }
        self.seen = last;
        let body = (!found.is_empty()).then(|| otlp::request(&settings.resource, &found).to_string());
        Ok(Some(Ready { body, last }))
    }

    /// Notes that the collector has the spans, or will never have them.
    fn done(&mut self, ready: &Ready) -> Result<(), StoreError> {
        if ready.body.is_none() && ready.last - self.stored < WORTH_A_COMMIT {
            return Ok(());
        }
        if self.store.advance_cursor(CURSOR, (self.stored, ready.last), &[])? {
            self.stored = ready.last;
            return Ok(());
        }
        // Another process sends spans, too.
        self.stored = self.store.event_cursor(CURSOR, "")?;
        (self.seen, self.stories) = (self.stored, Stories::default());
        Ok(())
    }
}

/// True if spans end with this event.
pub(in crate::outbound) fn concerns(event: &Event) -> bool {
    ends_spans(event)
}

/// The reaction of a collector to a request.
enum Taken {
    Done,
    /// It will never take these spans.
    Refused(String),
    Later(String, Option<Duration>),
}

impl Exporter {
    /// Works until the bell says that the engine ends.
    pub(in crate::outbound) fn serve(&self) {
        let (mut place, mut wait, mut warned) = (None, FIRST_WAIT, false);
        loop {
            // Read before the work: everything that was committed until the end is taken up once more.
            let ends = self.bell.ends_at().is_some();
            let (why, asked) = match self.turn(&mut place) {
                Ok(Taken::Done) => {
                    wait = FIRST_WAIT;
                    if ends {
                        return;
                    }
                    self.bell.wait(None);
                    continue;
                }
                Ok(Taken::Refused(why)) => {
                    self.warn(format!("the collector of OpenTelemetry has refused spans: {why}"));
                    continue;
                }
                Ok(Taken::Later(why, asked)) => (why, asked),
                Err(error) => {
                    place = None;
                    (error_chain(&error), None)
                }
            };
            if self.bell.ends_at().is_some() {
                return;
            }
            if !std::mem::replace(&mut warned, true) {
                self.warn(format!("traces cannot be sent now: {why}; they are sent later"));
            }
            self.rest(asked.unwrap_or_default().max(wait).min(LONGEST_WAIT));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn turn(&self, place: &mut Option<Place>) -> Result<Taken, StoreError> {
        match place {
            Some(place) => self.work(place),
            None => self.work(place.insert(self.open()?)),
        }
    }

    fn open(&self) -> Result<Place, StoreError> {
        let mut store = Store::open(&self.state_dir)?;
        let stored = store.event_cursor(CURSOR, "")?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("stepwell/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Place { store, agent, stories: Stories::default(), seen: stored, stored, ready: None })
    }

    /// Sends the spans of all events that are new.
    fn work(&self, place: &mut Place) -> Result<Taken, StoreError> {
        loop {
            // A request that was not taken is sent again as it was.
            let Some(ready) = place.ready.take().map_or_else(|| place.next(&self.settings), |ready| Ok(Some(ready)))?
            else {
                return Ok(Taken::Done);
            };
            let taken = ready.body.as_ref().map_or(Taken::Done, |body| self.send(&place.agent, body));
            if let Taken::Later(..) = taken {
                place.ready = Some(ready);
                return Ok(taken);
            }
            place.done(&ready)?;
            if let Taken::Refused(_) = taken {
                return Ok(taken);
            }
        }
    }

    fn send(&self, agent: &Agent, body: &str) -> Taken {
        let timeout = match self.bell.ends_at() {
            None => self.settings.timeout,
            Some(at) => self.settings.timeout.min(at.saturating_duration_since(Instant::now())),
        };
        if timeout.is_zero() {
            return Taken::Later("the engine ends".to_owned(), None);
        }
        let mut request = agent.post(&self.settings.url).header("content-type", "application/json");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        match request.config().timeout_global(Some(timeout)).build().send(body) {
            Ok(answer) => {
                let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                let asked = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                match answer.status().as_u16() {
                    200..=299 => Taken::Done,
                    status @ (429 | 502 | 503 | 504) => Taken::Later(format!("answer {status}"), asked),
                    status => Taken::Refused(format!("answer {status}")),
                }
            }
            Err(error) => Taken::Later(error.to_string(), None),
        }
    }

    /// Waits so long, whatever happens, unless the engine ends.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while self.bell.ends_at().is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.bell.wait(Some(left));
        }
    }

    /// A full inbox loses the warning, never a span.
    fn warn(&self, text: String) {
        let _ = self.inbox.try_send(Message::Warning(text));
    }
}
