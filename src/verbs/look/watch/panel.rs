//! Shows the pulse of the run: redrawn at the bottom of a terminal, from time to time elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::error::CliError;
use crate::session::Session;
use crate::view::curve::Charset;
use crate::view::effort::effort;
use crate::view::output::{Printed, SCHEMA};
use crate::view::pulse::{Pulse, collect};
use stepwell_base::ids::RunId;
use stepwell_base::visible::visible_line;
use stepwell_run::status::RunStatus;
use stepwell_store::Reader;

/// Time between two looks: on a terminal, and elsewhere.
const REDRAW: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(10);
/// Time between two full reports without a terminal. What changes in the health is told at once.
const REPORT: Duration = Duration::from_secs(60);

pub(super) struct Panel {
    /// `None` when standard error is not a terminal.
    bars: Option<MultiProgress>,
    lines: Vec<ProgressBar>,
    looked: Option<Instant>,
    reported: Option<Instant>,
    last_left: String,
    last_health: String,
}

impl Panel {
    pub(super) fn new(session: &Session) -> Panel {
        Panel {
            bars: session.out.progress_bars(),
            lines: Vec::new(),
            looked: None,
            reported: None,
            last_left: String::new(),
            last_health: String::new(),
        }
    }

    /// True if the panel shows the progress of steps.
    pub(super) fn is_drawn(&self) -> bool {
        self.bars.is_some()
    }

    /// The bars of the panel, for lines from elsewhere.
    pub(super) fn bars(&self) -> Option<MultiProgress> {
        self.bars.clone()
    }

    /// Prints something above the panel.
    pub(super) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Looks at the run if it is time.
    pub(super) fn look(&mut self, session: &Session, reader: &Reader, run: RunId) -> Result<Printed, CliError> {
        let pause = if self.is_drawn() { REDRAW } else { LOOK };
        if self.looked.is_some_and(|at| at.elapsed() < pause) {
            return Ok(Printed::Written);
        }
        self.looked = Some(Instant::now());
        let row = reader.run(run)?;
        if row.status != RunStatus::Running {
            self.clear();
            return Ok(Printed::Written);
        }
        let pulse = collect(reader, run, &effort(reader, &row, session.settings.slots.value)?)?;
        if session.out.is_json() {
            let mut value = pulse.json(run);
            value["schema"] = SCHEMA.into();
            return session.out.json_line(&value);
        }
        let charset = if session.out.has_unicode() { Charset::Unicode } else { Charset::Ascii };
        match &self.bars {
            Some(_) => self.draw(&pulse.lines(charset)),
            None => self.report(session, &pulse, charset),
        }
        Ok(Printed::Written)
    }

    fn draw(&mut self, text: &[String]) {
        let Some(bars) = &self.bars else { return };
        while self.lines.len() > text.len() {
            self.lines.pop().inspect(ProgressBar::finish_and_clear);
        }
        while self.lines.len() < text.len() {
            let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.lines.push(bars.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (line, text) in self.lines.iter().zip(text) {
            line.set_message(visible_line(text).into_owned());
            line.tick();
        }
    }

    fn report(&mut self, session: &Session, pulse: &Pulse, charset: Charset) {
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT) && pulse.steps.iter().any(|step| step.loss.is_some()) {
            self.reported = Some(Instant::now());
            self.last_health = codes(pulse);
            self.last_left = pulse.left.clone().unwrap_or_default();
            pulse.lines(charset).iter().for_each(|line| session.out.message(line));
            return;
        }
        if let Some(left) = pulse.left.as_ref().filter(|left| **left != self.last_left) {
            session.out.message(&format!("{left} left"));
            self.last_left.clone_from(left);
        }
        // Numbers in a problem change all the time: only other problems are news.
        let problems = codes(pulse);
        if problems != self.last_health {
            if !problems.is_empty() || !self.last_health.is_empty() {
                session.out.message(&pulse.health_line());
            }
            self.last_health = problems;
        }
    }

    /// Removes the panel.
    pub(super) fn clear(&mut self) {
        self.lines.drain(..).for_each(|line| line.finish_and_clear());
    }
}

fn codes(pulse: &Pulse) -> String {
    pulse.health.iter().map(|finding| finding.problem.code()).collect::<Vec<_>>().join(" ")
}
