//! Shows what running commands print: the last line behind the progress of each step, or now and then as a line of its own where
//! there are no bars, or with `--logs` every line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::log_tail::{LogTail, Rest};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::visible::visible_line;
use stepwell_run::event::{StepEvent, StepEventKind};
use stepwell_steps::last_lines;
use stepwell_store::attempt_log;

const INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of logs to look at in one interval; more take turns.
const LOGS_PER_LOOK: usize = 64;
/// Maximum bytes to read of a log in one interval, and at the end of its attempt.
const BYTES_PER_LOOK: u64 = 1 << 20;
/// Minimum time between two lines of a log that is not shown as a whole.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Lines of the logs of running commands to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogDetail {
    /// The last one, at the place that the step has for it.
    #[default]
    LastLine,
    All,
}

/// Where the last line of a log is shown.
pub enum LastLine {
    /// Behind a bar.
    Bar(ProgressBar),
    /// As a line of its own every ten seconds, and at the end of an attempt that has not failed: a failure has its own lines.
    Line,
    Nowhere,
}

/// One line to show.
pub struct LogLine<'a> {
    pub run: RunId,
    pub step: &'a StepId,
    pub attempt: u32,
    /// Names the step if several run.
    pub prefix: &'a str,
    pub text: &'a str,
}

/// Shows one line. Called on the thread of the engine and on that of the logs.
pub type Show = Arc<dyn Fn(&LogLine<'_>) + Send + Sync>;

/// Follows the logs of the attempts that run. Nothing is read for a view that shows no lines; a thread lives only while an
/// attempt runs.
pub struct LogLines {
    state_dir: PathBuf,
    detail: LogDetail,
    show: Show,
    followed: Arc<Mutex<Followed>>,
}

#[derive(Default)]
struct Followed {
    logs: BTreeMap<(RunId, StepId), Log>,
    has_thread: bool,
    /// The first log of the next look.
    next: usize,
}

struct Log {
    attempt: u32,
    /// Name of the run, if it is shown.
    name: String,
    path: PathBuf,
    tail: LogTail,
    last_line: LastLine,
    /// Time of the last line that was printed, or of the start.
    printed: Instant,
    /// Length of the log when a line of it was shown.
    seen: u64,
}

impl LogLines {
    pub fn new(state_dir: &Path, detail: LogDetail, show: Show) -> LogLines {
        LogLines { state_dir: state_dir.to_owned(), detail, show, followed: Arc::default() }
    }

    /// Starts to follow the log of an attempt that starts, and shows the rest of one that has ended. Call it before the
    /// event is printed. `name` is the prefix of the run's lines, `last_line` the place for the last line of the step.
    pub fn event(&self, run: RunId, event: &StepEvent, name: &str, last_line: impl FnOnce() -> LastLine) {
        let StepEvent { step, kind, .. } = event;
        match kind {
            StepEventKind::AttemptStarted { attempt, .. } => self.start(run, step, *attempt, name, last_line()),
            StepEventKind::AttemptFailed { .. } | StepEventKind::Failed { .. } => self.end(run, step, End::Failure),
            StepEventKind::Succeeded { .. } | StepEventKind::AttemptReleased { .. } | StepEventKind::Canceled => {
                self.end(run, step, End::Quiet);
            }
            _ => {}
        }
    }

    fn start(&self, run: RunId, step: &StepId, attempt: u32, name: &str, last_line: LastLine) {
        if self.detail == LogDetail::LastLine && matches!(last_line, LastLine::Nowhere) {
            return;
        }
        let path = attempt_log(&self.state_dir, run, step, attempt);
        let (name, tail, printed) = (name.to_owned(), LogTail::new(path.clone()), Instant::now());
        let log = Log { attempt, name, path, tail, last_line, printed, seen: 0 };
        let mut followed = lock(&self.followed);
        followed.logs.insert((run, step.clone()), log);
        if !followed.has_thread {
            let (shared, detail, show) = (self.followed.clone(), self.detail, self.show.clone());
            // Without a thread, the lines appear when the attempts end.
            let started =
                thread::Builder::new().name("log-lines".to_owned()).spawn(move || follow(&shared, detail, &show));
            followed.has_thread = started.is_ok();
        }
    }

    fn end(&self, run: RunId, step: &StepId, end: End) {
        let mut followed = lock(&self.followed);
        let are_several = followed.logs.len() > 1;
        let key = (run, step.clone());
        let Some(mut log) = followed.logs.remove(&key) else { return };
        match (self.detail, end) {
            (LogDetail::All, _) => log.print(&key, are_several, &self.show, Look::Last),
            (LogDetail::LastLine, End::Quiet) if matches!(log.last_line, LastLine::Line) => {
                log.print_last(&key, &self.show);
            }
            (LogDetail::LastLine, _) => {}
        }
    }

    /// Looks at all logs once more and forgets them.
    pub fn finish(&self) {
        let logs = std::mem::take(&mut lock(&self.followed).logs);
        let are_several = logs.len() > 1;
        for (key, mut log) in logs {
            if self.detail == LogDetail::All {
                log.print(&key, are_several, &self.show, Look::Last);
            }
        }
    }
}

/// How an attempt has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The line about it has the end of the log.
    Failure,
    Quiet,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The attempt runs.
    Usual,
    /// The attempt has ended.
    Last,
}

impl Log {
    fn print(&mut self, (run, step): &(RunId, StepId), are_several: bool, show: &Show, look: Look) {
        let prefix = if are_several { format!("{}{step} | ", self.name) } else { self.name.clone() };
        let (run, attempt) = (*run, self.attempt);
        let mut each = |text: String| show(&LogLine { run, step, attempt, prefix: &prefix, text: &text });
        // A log that cannot be read now may be readable at the next look.
        let rest = self.tail.read(BYTES_PER_LOOK, &mut each).unwrap_or(Rest::Nothing);
        if look == Look::Last {
            self.tail.finish(&mut each);
            if let Rest::Bytes(count) = rest {
                each(format!("[stepwell: {count} more bytes; `stepwell logs {run} {step}` prints them]"));
            }
        }
    }

    /// Shows the last line at its place if it is time and the log has grown.
    fn show_last(&mut self, key: &(RunId, StepId), show: &Show) {
        match &self.last_line {
            LastLine::Bar(bar) => {
                let bar = bar.clone();
                if let Some(line) = self.newest() {
                    bar.set_message(visible_line(&line).into_owned());
                }
            }
            LastLine::Line if self.printed.elapsed() >= LINE_INTERVAL => self.print_last(key, show),
            LastLine::Line | LastLine::Nowhere => {}
        }
    }

    fn print_last(&mut self, (run, step): &(RunId, StepId), show: &Show) {
        let Some(line) = self.newest().filter(|line| !line.is_empty()) else { return };
        self.printed = Instant::now();
        let prefix = format!("{}{step}  ", self.name);
        show(&LogLine { run: *run, step, attempt: self.attempt, prefix: &prefix, text: &line });
    }

    /// The last line, if the log has grown since one was shown.
    fn newest(&mut self) -> Option<String> {
        let length = self.path.metadata().map_or(0, |metadata| metadata.len());
        if length == self.seen {
            return None;
        }
        self.seen = length;
        Some(last_lines(&self.path, 1).trim().to_owned())
    }
}

fn lock(followed: &Mutex<Followed>) -> MutexGuard<'_, Followed> {
    // Each look leaves the logs valid for the next one, so a poisoned lock is harmless.
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn follow(followed: &Mutex<Followed>, detail: LogDetail, show: &Show) {
    loop {
        thread::sleep(INTERVAL);
        let mut followed = lock(followed);
        if followed.logs.is_empty() {
            followed.has_thread = false;
            return;
        }
        look(&mut followed, detail, show);
    }
}

/// Looks at some logs; all have their turn in time.
fn look(followed: &mut Followed, detail: LogDetail, show: &Show) {
    let count = followed.logs.len();
    let first = if followed.next < count { followed.next } else { 0 };
    for (key, log) in followed.logs.iter_mut().skip(first).take(LOGS_PER_LOOK) {
        match detail {
            LogDetail::LastLine => log.show_last(key, show),
            LogDetail::All => log.print(key, count > 1, show, Look::Usual),
        }
    }
    followed.next = first + LOGS_PER_LOOK;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::time::Instant;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use stepwell_base::artifact::Outputs;
    use stepwell_base::ids::StepKey;

    struct Lab {
        folder: tempfile::TempDir,
        run: RunId,
        shown: Arc<Mutex<Vec<String>>>,
        lines: LogLines,
        has_lines: bool,
    }

    impl Lab {
        fn new(detail: LogDetail) -> Lab {
            let folder = tempfile::tempdir().unwrap();
            let shown: Arc<Mutex<Vec<String>>> = Arc::default();
            let show: Show = {
                let shown = shown.clone();
                Arc::new(move |line: &LogLine<'_>| shown.lock().unwrap().push(format!("{}{}", line.prefix, line.text)))
            };
            let lines = LogLines::new(folder.path(), detail, show);
            Lab { folder, run: RunId(Uuid::now_v7()), shown, lines, has_lines: true }
        }

        fn tell(&self, step: &str, kind: StepEventKind) {
            let stepwell_run::event::Event::Step(event) = kind.of(step.into()) else { unreachable!("a step's event") };
            let last_line = if self.has_lines { LastLine::Line } else { LastLine::Nowhere };
            self.lines.event(self.run, &event, "", || last_line);
        }

        fn start(&self, step: &str) {
            let path = self.log(step);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let kind = StepEventKind::AttemptStarted {
                attempt: 1,
                key: StepKey("key".to_owned()),
                with: serde_json::Value::Null,
                lease_expires_at: Timestamp::UNIX_EPOCH,
                resources: BTreeMap::new(),
            };
            self.tell(step, kind);
        }

        fn log(&self, step: &str) -> PathBuf {
            attempt_log(self.folder.path(), self.run, &step.into(), 1)
        }

        fn write(&self, step: &str, text: &str) {
            let mut log = OpenOptions::new().create(true).append(true).open(self.log(step)).unwrap();
            log.write_all(text.as_bytes()).unwrap();
        }

        fn eventually(&self, expected: &[&str]) {
            let deadline = Instant::now() + Duration::from_secs(60);
            while *self.shown.lock().unwrap() != expected {
                assert!(Instant::now() < deadline, "{:?}", self.shown.lock().unwrap());
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    #[test]
    fn every_line_is_shown_once_and_the_rest_before_the_end() {
        let lab = Lab::new(LogDetail::All);
        lab.start("a");
        lab.write("a", "one\ntw");
        lab.eventually(&["one"]);
        lab.start("b");
        lab.write("b", "b1\n");
        lab.eventually(&["one", "b | b1"]);
        lab.write("a", "o\nend");
        lab.tell("a", StepEventKind::Succeeded { outputs: Outputs::default() });
        let shown = lab.shown.lock().unwrap().clone();
        assert_eq!(shown, ["one", "b | b1", "a | two", "a | end"], "nothing of `a` is left for later");
        lab.lines.finish();
        let deadline = Instant::now() + Duration::from_secs(60);
        while lock(&lab.lines.followed).has_thread {
            assert!(Instant::now() < deadline, "the thread ends with the last attempt");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn nothing_is_followed_without_a_place_and_without_the_flag() {
        let lab = Lab { has_lines: false, ..Lab::new(LogDetail::LastLine) };
        lab.start("a");
        assert!(lock(&lab.lines.followed).logs.is_empty() && !lock(&lab.lines.followed).has_thread);
    }

    #[test]
    fn without_bars_the_last_line_is_told_at_the_end_and_now_and_then() {
        let lab = Lab::new(LogDetail::LastLine);
        let done = || StepEventKind::Succeeded { outputs: Outputs::default() };
        for step in ["a", "b", "c", "d"] {
            lab.start(step);
        }
        lab.write("a", "one\ntwo\n");
        lab.tell("a", done());
        assert_eq!(*lab.shown.lock().unwrap(), ["a  two"]);
        // A failure has the end of the log; an empty log has nothing.
        lab.write("b", "the cause\n");
        lab.tell("b", StepEventKind::AttemptFailed { failure: stepwell_base::failure::Failure::fatal("x: the cause") });
        lab.tell("c", done());
        assert_eq!(lab.shown.lock().unwrap().len(), 1);
        lab.write("d", "first\n10 %\r20 %");
        let long_ago = Instant::now().checked_sub(LINE_INTERVAL);
        lock(&lab.lines.followed).logs.values_mut().for_each(|log| log.printed = long_ago.unwrap());
        lab.eventually(&["a  two", "d  20 %"]);
        lab.write("d", "\nlater");
        thread::sleep(3 * INTERVAL);
        assert_eq!(lab.shown.lock().unwrap().len(), 2, "not before the next ten seconds");
        lab.tell("d", done());
        assert_eq!(*lab.shown.lock().unwrap(), ["a  two", "d  20 %", "d  later"]);
    }

    #[test]
    fn many_logs_take_turns() {
        let lab = Lab::new(LogDetail::All);
        for number in 0..LOGS_PER_LOOK + 10 {
            lab.start(&format!("s{number}"));
            lab.write(&format!("s{number}"), "x\n");
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while lab.shown.lock().unwrap().len() < LOGS_PER_LOOK + 10 {
            assert!(Instant::now() < deadline, "{:?}", lab.shown.lock().unwrap().len());
            thread::sleep(Duration::from_millis(10));
        }
    }
}
