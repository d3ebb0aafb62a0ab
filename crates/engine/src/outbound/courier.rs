//! The threads of all receivers, and the observer that wakes them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver as Ended, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::bell::Bell;
#[cfg(feature = "otel")]
use super::telemetry;
use super::webhooks::{self, Receiver};
use crate::inbox::Message;
use crate::options::{Observer, SpaceWait};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, MetricRow, Progress};
use stepwell_run::event::{Event, Recorded};
use stepwell_store::{Store, StoreError};
use stepwell_workflow::webhook::Webhook;

/// A thread that sends.
struct Line {
    bell: Arc<Bell>,
    /// Events that it should know of at once.
    concerns: fn(&Event) -> bool,
    ended: Ended<()>,
}

/// Everything beside an engine that tells other machines.
pub(crate) struct Courier {
    lines: Vec<Line>,
}

impl Courier {
    /// Starts a thread for each receiver. What happens from now on reaches them, also those that are new.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub(crate) fn start(
        webhooks: &[Webhook],
        state_dir: &Path,
        inbox: &SyncSender<Message>,
    ) -> Result<Courier, StoreError> {
        if !webhooks.is_empty() {
            let mut store = Store::open(state_dir)?;
            for webhook in webhooks {
                store.event_cursor(&webhook.name, &webhook.wanted())?;
            }
        }
        let mut courier = Courier { lines: Vec::new() };
        #[cfg(feature = "otel")]
        courier.add_telemetry(state_dir, inbox)?;
        for webhook in webhooks {
            let bell = Arc::new(Bell::default());
            let receiver = Receiver {
                webhook: webhook.clone(),
                state_dir: state_dir.to_owned(),
                bell: Arc::clone(&bell),
                inbox: inbox.clone(),
            };
            courier.add(bell, webhooks::concerns, move || receiver.serve());
        }
        Ok(courier)
    }

    /// Sends traces, if the variables of OpenTelemetry say so.
    #[cfg(feature = "otel")]
    fn add_telemetry(&mut self, state_dir: &Path, inbox: &SyncSender<Message>) -> Result<(), StoreError> {
        let variable = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
        match telemetry::Settings::from_variables(variable) {
            Ok(None) => {}
            Ok(Some(settings)) => {
                Store::open(state_dir)?.event_cursor(telemetry::CURSOR, "")?;
                let bell = Arc::new(Bell::default());
                let exporter = telemetry::Exporter {
                    settings,
                    state_dir: state_dir.to_owned(),
                    bell: Arc::clone(&bell),
                    inbox: inbox.clone(),
                };
                self.add(bell, telemetry::concerns, move || exporter.serve());
            }
            Err(why) => {
                // A full inbox loses a warning.
                let _ = inbox.try_send(Message::Warning(format!("no traces are sent: {why}")));
            }
        }
        Ok(())
    }

    fn add(&mut self, bell: Arc<Bell>, concerns: fn(&Event) -> bool, serve: impl FnOnce() + Send + 'static) {
        let (done, ended) = mpsc::sync_channel(1);
        thread::spawn(move || {
            serve();
            // Nobody waits any more if the engine was in a hurry.
            let _ = done.send(());
        });
        self.lines.push(Line { bell, concerns, ended });
    }

    /// Wakes the threads that an event may concern.
    fn hear(&self, recorded: &Recorded) {
        let concerned = self.lines.iter().filter(|line| (line.concerns)(&recorded.event));
        concerned.for_each(|line| line.bell.ring());
    }

    /// Lets the threads send what is due, until then. The next engine sends the rest.
    pub(crate) fn finish(self, patience: Duration) {
        let until = Instant::now() + patience;
        self.lines.iter().for_each(|line| line.bell.end(until));
        for line in &self.lines {
            let _ = line.ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// Tells the receivers what the engine has committed, and passes everything on.
pub(crate) struct Heralded<'a> {
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) courier: &'a Courier,
}

impl Observer for Heralded<'_> {
    fn event(&mut self, recorded: &Recorded) {
        self.courier.hear(recorded);
        self.observer.event(recorded);
    }

    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress) {
        self.observer.progress(run, step, progress);
    }

    fn metric(&mut self, run: RunId, step: &StepId, row: &MetricRow) {
        self.observer.metric(run, step, row);
    }

    fn measured(&mut self, run: RunId, step: &StepId, row: &Measurement) {
        self.observer.measured(run, step, row);
    }

    fn waiting_for_space(&mut self, wait: &SpaceWait) {
        self.observer.waiting_for_space(wait);
    }

    fn warn(&mut self, message: &str) {
        self.observer.warn(message);
    }

    fn stopping(&mut self, grace: Duration) {
        self.observer.stopping(grace);
    }
}
