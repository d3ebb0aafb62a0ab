//! `stepwell watch RUN`: follows a run that another process drives.

mod panel;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::arguments::LogArgs;
use crate::drive::ending::{Ending, report};
use crate::drive::queue::follow::{Follower, Viewer};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::event_text::{describe, progress_line};
use crate::view::fan_out_lines::{FanOutLines, Verdict, count_line};
use crate::view::logs::{LastLine, LogLine, LogLines};
use crate::view::output::{Printed, SCHEMA};
use crate::view::series::json_line;
use panel::Panel;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, Progress};
use stepwell_run::event::Event;
use stepwell_run::status::RunStatus;
use stepwell_store::{EngineLock, EventRow, Reader, StoreError};

const INTERVAL: Duration = Duration::from_millis(250);
/// Minimum time between two progress lines of a step.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Follow a run that another process drives
///
/// Prints its events from the start, then its summary, and ends with the exit code of the run. While the run works, also
/// its loss and validation loss as small curves, its speed, the time left, and its health: a step that stalls, a loss that
/// jumps or is no number, a validation loss that rises, no checkpoint for long, little disk or memory. Stopping `watch`
/// does not stop the run.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    #[command(flatten)]
    pub logs: LogArgs,
}

pub fn watch(session: &Session, args: &WatchArgs) -> Result<Exit, CliError> {
    let (reader, run) = session.find_run(&args.run)?;
    if let Some(at) = reader.run(run)?.pruned_at {
        session.out.message(&StoreError::Pruned { run, at }.to_string());
    }
    let mut lines = Lines::new(session, &reader, run);
    let mut follower = Follower::new(run, 0);
    loop {
        // Read before the events, so that none of a run that has ended is missed.
        let row = reader.run(run)?;
        follower.look(&reader, &mut lines)?;
        if let Some(outcome) = lines.gone.take() {
            return outcome.map(|()| Exit::Ok);
        }
        lines.look_at_pulse()?;
        match Ending::of_status(row.status) {
            Some(ending) => return lines.finish(ending),
            None if row.status == RunStatus::Interrupted => return lines.finish(Ending::Interrupted),
            None => lines.say_if_nobody_drives(row.status),
        }
        thread::sleep(INTERVAL);
    }
}

/// Prints a line for each event, with its time.
struct Lines<'a> {
    session: &'a Session,
    reader: &'a Reader,
    run: RunId,
    /// Names of child runs.
    names: HashMap<RunId, String>,
    fan_outs: FanOutLines,
    logs: LogLines,
    printed: HashMap<(RunId, StepId), (Instant, String)>,
    panel: Panel,
    is_undriven: bool,
    /// Set once nobody reads standard output, or when it cannot be written.
    gone: Option<Result<(), CliError>>,
}

impl<'a> Lines<'a> {
    fn new(session: &'a Session, reader: &'a Reader, run: RunId) -> Lines<'a> {
        let (names, printed) = (HashMap::new(), HashMap::new());
        let fan_outs = FanOutLines::default();
        let panel = Panel::new(session);
        let (out, bars) = (session.out.clone(), panel.bars());
        let show = Arc::new(move |line: &LogLine<'_>| match &bars {
            Some(bars) => bars.suspend(|| out.log_line(line)),
            None => out.log_line(line),
        });
        let logs = LogLines::new(session.state_dir(), session.log_detail, show);
        Lines { session, reader, run, names, fan_outs, logs, printed, panel, is_undriven: false, gone: None }
    }

    fn prefix(&mut self, run: RunId) -> String {
        if run == self.run {
            return String::new();
        }
        let name = self.names.entry(run);
        let name = name.or_insert_with(|| self.reader.run(run).map_or_else(|_| run.to_string(), |row| row.name));
        format!("{name}: ")
    }

    fn note(&mut self, printed: Result<Printed, CliError>) {
        match printed {
            Ok(Printed::Written) => {}
            Ok(Printed::ReaderGone) => self.gone = Some(Ok(())),
            Err(error) => self.gone = Some(Err(error)),
        }
    }

    fn json(&mut self, value: &Value) {
        let printed = self.session.out.json_line(value);
        self.note(printed);
    }

    fn text(&mut self, run: RunId, event: &Event) -> Option<String> {
        let reader = self.reader;
        let children = |step: &StepId| reader.step(run, step).ok()?.children;
        match self.fan_outs.judge(run, event, |step| children(step).map_or(0, |children| children.total)) {
            Verdict::Show => describe(event),
            Verdict::Hide => None,
            Verdict::Count(step) => children(&step).map(|children| count_line(&step, children)),
        }
    }

    /// Tells from time to time how the run goes.
    fn look_at_pulse(&mut self) -> Result<(), CliError> {
        let printed = self.panel.look(self.session, self.reader, self.run)?;
        self.note(Ok(printed));
        Ok(())
    }

    fn finish(mut self, ending: Ending) -> Result<Exit, CliError> {
        self.panel.clear();
        report(self.session, self.run, ending)
    }

    fn say_if_nobody_drives(&mut self, status: RunStatus) {
        let undriven = status == RunStatus::Pending && EngineLock::holder(self.session.state_dir()).is_none();
        if undriven && !self.is_undriven {
            self.session.out.message("the run is pending and no engine is running: `stepwell worker` starts one");
        }
        self.is_undriven = undriven;
    }
}

impl Viewer for Lines<'_> {
    fn event(&mut self, row: &EventRow) {
        let EventRow { seq, run, at, event } = row;
        if let Event::Step(event) = event {
            let name = self.prefix(*run);
            self.logs.event(*run, event, &name, || LastLine::Nowhere);
        }
        if self.session.out.is_json() {
            self.json(&json!({
                "schema": SCHEMA, "type": "event", "seq": seq, "run": run, "at": at, "event": event,
            }));
        } else if let Some(text) = self.text(*run, event) {
            let line = format!("{}  {}{text}", at.strftime("%H:%M:%S"), self.prefix(*run));
            let printed = self.panel.above(|| self.session.out.stream(&line));
            self.note(printed);
        }
    }

    fn metric(&mut self, run: RunId, step: &StepId, row: &Measurement) {
        self.json(&json_line(run, step, row));
    }

    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress) {
        if self.session.out.is_json() || self.panel.is_drawn() {
            return;
        }
        let line = format!("{}{}", self.prefix(run), progress_line(step, progress));
        let place = (run, step.clone());
        if self.printed.get(&place).is_some_and(|(at, last)| at.elapsed() < LINE_INTERVAL || *last == line) {
            return;
        }
        self.session.out.message(&line);
        self.printed.insert(place, (Instant::now(), line));
    }

    fn wants_metrics(&self) -> bool {
        self.session.out.is_json()
    }

    fn is_gone(&self) -> bool {
        self.gone.is_some()
    }
}
