//! Shows the progress of a foreground run: bars on a terminal, sparse lines elsewhere, NDJSON events with `--output
//! json`.

mod step_bar;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};
use serde_json::json;

use super::event_text::{describe, ending, how_to_answer, is_ending, progress_line, waits};
use super::export_folder::ExportFolder;
use super::exporter::Exporter;
use super::fan_out_lines::{FanOutLines, Verdict, count_line};
use super::logs::{LastLine, LogLine, LogLines};
use super::output::{Output, SCHEMA, bytes, shown_path, since};
use super::series;
use crate::session::Session;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, MetricRow, Progress};
use stepwell_base::visible::{visible, visible_line};
use stepwell_engine::{Observer, SpaceWait};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEvent, StepEventKind};
use stepwell_store::{Children, Reader, StoreError, WaitRow};

/// Minimum time between two progress lines of a step without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of steps whose first failure gets a hint, and of waits at the start.
const MOST_EXPLAINED: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// One run and the runs that its steps start.
    Run(RunId),
    /// Every run, each line with its name. The exports of runs that succeed are copied to the exports folder.
    All,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Label {
    Hidden,
    /// Shown without a name, because the run is the only one.
    Plain,
    /// Shown after the name of the run.
    Named(String),
}

pub struct ProgressView {
    printer: Printer,
    state_dir: PathBuf,
    shown: Shown,
    labels: HashMap<RunId, Label>,
    steps: HashMap<(RunId, StepId), StepView>,
    exporter: Exporter,
    fan_outs: FanOutLines,
    logs: LogLines,
    /// Steps whose first failure was explained.
    explained: HashSet<(RunId, StepId)>,
}

/// Writes lines above the bars.
#[derive(Clone)]
struct Printer {
    out: Output,
    /// `None` when standard error is not a terminal.
    bars: Option<MultiProgress>,
}

impl Printer {
    fn print(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                // A closed terminal must not stop the run.
                let _ = bars.println(visible(&self.out.pasteable(text)));
            }
            None => self.out.message(text),
        }
    }

    fn print_log(&self, line: &LogLine<'_>) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(visible_line(&format!("{}{}", line.prefix, line.text)));
            }
            None => self.out.log_line(line),
        }
    }
}

struct StepView {
    bar: Option<ProgressBar>,
    printed: Instant,
}

impl ProgressView {
    pub fn new(session: &Session, shown: Shown) -> Self {
        let out = session.out.clone();
        let printer = Printer { bars: out.progress_bars(), out };
        let exporter = Exporter::new(ExportFolder::of(session), {
            let printer = printer.clone();
            move |text: &str| printer.print(text)
        });
        let logs = LogLines::new(session.state_dir(), session.log_detail, {
            let printer = printer.clone();
            Arc::new(move |line: &LogLine<'_>| printer.print_log(line))
        });
        let (labels, steps) = (HashMap::new(), HashMap::new());
        ProgressView {
            printer,
            state_dir: session.state_dir().to_owned(),
            shown,
            labels,
            steps,
            exporter,
            fan_outs: FanOutLines::default(),
            logs,
            explained: HashSet::new(),
        }
    }

    /// Removes the bars and waits for pending exports.
    pub fn finish(&mut self) {
        self.logs.finish();
        for view in self.steps.values() {
            if let Some(bar) = &view.bar {
                bar.finish_and_clear();
            }
        }
        self.steps.clear();
        self.exporter.finish();
    }

    /// Shows lines from another thread.
    pub fn printing(&self) -> impl Fn(&str) + Send + Sync + 'static + use<> {
        let printer = self.printer.clone();
        move |text: &str| printer.print(text)
    }

    /// True if metrics are part of the output.
    pub fn shows_metrics(&self) -> bool {
        self.printer.out.is_json()
    }

    /// Shows a running step that started before this view did.
    pub fn show(&mut self, run: RunId, step: &StepId) {
        if self.steps.contains_key(&(run, step.clone())) || self.printer.out.is_json() {
            return;
        }
        let name = match self.label(run) {
            Label::Hidden => return,
            Label::Plain => String::new(),
            Label::Named(name) => format!("{name}: "),
        };
        self.start(run, step, &name);
    }

    /// Shows what steps wait for since before this view: no new event will say so.
    pub fn show_waits(&mut self) {
        if self.printer.out.is_json() {
            return;
        }
        // A run whose waits cannot be read is told about by its engine.
        let rows = Reader::open(&self.state_dir).and_then(|reader| reader.waits()).unwrap_or_default();
        for WaitRow { run, step, wait } in rows.iter().take(MOST_EXPLAINED) {
            let name = match self.label(*run) {
                Label::Hidden => continue,
                Label::Plain => String::new(),
                Label::Named(name) => format!("{name}: "),
            };
            self.print(&format!("{name}{step}  {}", waits(wait)));
            if let Some(answer) = how_to_answer(*run, step, wait) {
                self.print(&format!("hint: {answer}"));
            }
        }
    }

    /// Prints a message above the bars.
    pub fn print(&self, text: &str) {
        self.printer.print(text);
    }

    fn judge(&mut self, Recorded { run, event, .. }: &Recorded) -> Verdict {
        let state_dir = &self.state_dir;
        self.fan_outs.judge(*run, event, |step| children(state_dir, *run, step).map_or(0, |children| children.total))
    }

    /// The line for an event, if it has one.
    fn line(&self, Recorded { run, event, .. }: &Recorded, verdict: Verdict) -> Option<String> {
        match verdict {
            Verdict::Show => describe(event),
            Verdict::Hide => None,
            Verdict::Count(step) => children(&self.state_dir, *run, &step).map(|children| count_line(&step, children)),
        }
    }

    /// Text such as ` in 3m 12s`.
    fn took(&self, run: RunId) -> String {
        let row = Reader::open(&self.state_dir).and_then(|reader| reader.run(run));
        row.map_or_else(|_| String::new(), |row| format!(" in {}", since(row.started_at, row.finished_at)))
    }

    fn label(&mut self, run: RunId) -> Label {
        if let Some(known) = self.labels.get(&run) {
            return known.clone();
        }
        let label = self.look_up(run).unwrap_or_else(|_| Label::Named(run.to_string()));
        self.labels.insert(run, label.clone());
        label
    }

    fn look_up(&self, run: RunId) -> Result<Label, StoreError> {
        if self.shown == Shown::Run(run) {
            return Ok(Label::Plain);
        }
        let reader = Reader::open(&self.state_dir)?;
        Ok(match self.shown {
            Shown::Run(own) if !reader.ancestors(run)?.contains(&own) => Label::Hidden,
            Shown::Run(_) | Shown::All => Label::Named(reader.run(run)?.name),
        })
    }

    fn start(&mut self, run: RunId, step: &StepId, name: &str) {
        let bar = self.printer.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(step_bar::spinner());
            bar.set_prefix(visible_line(&format!("{name}{step}")).into_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        self.steps.insert((run, step.clone()), StepView { bar, printed: Instant::now() });
    }

    /// Tells at the first failure of a step what helps; the report of the run comes only after the last.
    fn explain(&mut self, run: RunId, step: &StepId, failure: &Failure) {
        if self.explained.len() < MOST_EXPLAINED
            && let Some(hint) = &failure.hint
            && self.explained.insert((run, step.clone()))
        {
            self.print(&format!("hint: {hint}"));
        }
    }

    fn end(&mut self, run: RunId, step: &StepId) {
        if let Some(StepView { bar: Some(bar), .. }) = self.steps.remove(&(run, step.clone())) {
            bar.finish_and_clear();
        }
    }
}

impl Observer for ProgressView {
    fn event(&mut self, recorded: &Recorded) {
        let run = recorded.run;
        let name = match self.label(run) {
            Label::Hidden => return,
            Label::Plain => String::new(),
            Label::Named(name) => format!("{name}: "),
        };
        if self.shown == Shown::All && recorded.event == Event::Run(RunEvent::Succeeded) {
            self.exporter.export(run);
        }
        let verdict = (!self.printer.out.is_json()).then(|| self.judge(recorded));
        if let Event::Step(event) = &recorded.event {
            if matches!(event.kind, StepEventKind::AttemptStarted { .. }) && !self.printer.out.is_json() {
                self.start(run, &event.step, &name);
            }
            let bar = || self.steps.get(&(run, event.step.clone())).and_then(|view| view.bar.clone());
            let last_line = || match bar() {
                Some(bar) => LastLine::Bar(bar),
                None if verdict == Some(Verdict::Show) => LastLine::Line,
                None => LastLine::Nowhere,
            };
            self.logs.event(run, event, &name, last_line);
        }
        let Some(verdict) = verdict else {
            let line = json!({
                "schema": SCHEMA, "type": "event", "run": run, "at": recorded.at, "event": recorded.event,
            });
            // A reader that has gone away must not stop the run.
            let _ = self.printer.out.json_line(&line);
            return;
        };
        if let Event::Step(StepEvent { step, kind, .. }) = &recorded.event
            && ends_attempt(kind)
        {
            self.end(run, step);
        }
        if let Some(text) = self.line(recorded, verdict) {
            self.print(&format!("{name}{text}"));
        } else if self.shown == Shown::All
            && let Some(end) = ending(&recorded.event)
        {
            let took = if recorded.event == Event::Run(RunEvent::Succeeded) { self.took(run) } else { String::new() };
            self.print(&format!("{name}{end}{took}"));
        }
        if let Event::Step(StepEvent { step, kind: StepEventKind::AttemptFailed { failure }, .. }) = &recorded.event {
            // The report of the run follows at once and has the hint, unless other steps still work.
            let is_last = failure.kind == FailureKind::Fatal && self.steps.is_empty();
            if !is_last || self.shown == Shown::All {
                self.explain(run, step, failure);
            }
        }
        if let Event::Step(StepEvent { step, kind: StepEventKind::Waiting { wait }, .. }) = &recorded.event
            && let Some(answer) = how_to_answer(run, step, wait)
        {
            self.print(&format!("hint: {answer}"));
        }
        if is_ending(&recorded.event) {
            self.labels.remove(&run);
            self.fan_outs.forget(run);
        }
    }

    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress) {
        let Some(view) = self.steps.get_mut(&(run, step.clone())) else { return };
        if let Some(bar) = &view.bar {
            step_bar::advance(bar, progress);
            // A command has no message of its own: the bar keeps the last line of its log.
            if !progress.message.is_empty() {
                bar.set_message(visible_line(&progress.message).into_owned());
            }
            return;
        }
        if view.printed.elapsed() < LINE_INTERVAL || self.printer.out.is_json() {
            return;
        }
        view.printed = Instant::now();
        let name = match self.labels.get(&run) {
            Some(Label::Named(name)) => format!("{name}: "),
            _ => String::new(),
        };
        self.print(&format!("{name}{}", progress_line(step, progress)));
    }

    fn waiting_for_space(&mut self, wait: &SpaceWait) {
        if self.printer.out.is_json() {
            let SpaceWait { reason, path, needed_bytes, free_bytes } = wait;
            let line = json!({
                "schema": SCHEMA, "type": "waiting_for_space", "reason": reason, "path": shown_path(path),
                "needed_bytes": needed_bytes, "free_bytes": free_bytes,
            });
            let _ = self.printer.out.json_line(&line);
        }
        let (needed, free) = (bytes(wait.needed_bytes), bytes(wait.free_bytes));
        self.print(&wait.reason);
        self.print(&format!("waiting until {needed} are free on the disk of `{}`; now {free}", wait.path.display()));
        self.print(
            "hint: free some space and the run continues by itself; Ctrl-C stops it, `stepwell resume` continues it later",
        );
    }

    fn warn(&mut self, message: &str) {
        self.print(&format!("warning: {message}"));
    }

    fn metric(&mut self, run: RunId, step: &StepId, row: &MetricRow) {
        if self.printer.out.is_json() && self.label(run) != Label::Hidden {
            let line = json!({ "schema": SCHEMA, "type": "metric", "run": run, "step": step, "metric": row });
            let _ = self.printer.out.json_line(&line);
        }
    }

    fn measured(&mut self, run: RunId, step: &StepId, row: &Measurement) {
        if self.printer.out.is_json() && self.label(run) != Label::Hidden {
            let _ = self.printer.out.json_line(&series::json_line(run, step, row));
        }
    }

    fn stopping(&mut self, grace: Duration) {
        let seconds = grace.as_secs();
        self.print(&format!(
            "stopping: the running steps get {seconds} s to write a checkpoint; a second Ctrl-C kills them at once"
        ));
    }
}

/// The children of a fan-out.
fn children(state_dir: &Path, run: RunId, step: &StepId) -> Option<Children> {
    Reader::open(state_dir).ok()?.step(run, step).ok()?.children
}

fn ends_attempt(kind: &StepEventKind) -> bool {
    matches!(
        kind,
        StepEventKind::Succeeded { .. }
            | StepEventKind::AttemptFailed { .. }
            | StepEventKind::AttemptReleased { .. }
            | StepEventKind::Canceled
    )
}
