//! Brings a run to its end: as its engine, or by watching while another process is the engine.
//!
//! Whoever watches also waits for the engine lock. So a run whose engine has ended or died is never left alone while
//! somebody waits for it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::ask::ask;
use super::follow::Follower;
use super::stop_flag::StopFlag;
use crate::drive::ending::{Ending, report};
use crate::drive::foreground::{self, lock};
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::progress::{ProgressView, Shown};
use crate::view::run_handle::handle_of;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_engine::Start;
use stepwell_run::request::Request;
use stepwell_run::status::RunStatus;
use stepwell_store::{EngineLock, Holder, Reader};

const INTERVAL: Duration = Duration::from_millis(250);
/// Time for a process with the lock to say what it drives. Others hold the lock for a moment (`gc`, a request).
const SETTLING: Duration = Duration::from_secs(2);

/// A run that this process brings to its end.
pub struct Task {
    pub run: RunId,
    /// First action on the run, if this process becomes its engine.
    pub start: Start,
    /// The same for another engine; `None` if that drives the run without being asked.
    pub request: Option<Request>,
    /// Newest event that the person knows; later ones are shown.
    pub after_seq: i64,
}

impl Task {
    /// Drives the run or follows it to its end.
    ///
    /// # Errors
    /// `CrashLoop` in safe mode; `Refused` when the engine refuses the request.
    pub fn run_to_end(self, session: &Session) -> Result<Exit, CliError> {
        match lock(session)? {
            Some(lock) => foreground::drive(session, lock, self.run, self.start),
            None => Watcher::new(session, self)?.watch(),
        }
    }
}

/// The runs that the engine drives, from the point of view of the one that is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    /// This run, now or at its turn.
    Ours,
    /// Only this other run.
    Other(RunId),
}

/// An engine that a person was told of.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    /// Such as `process 4711`.
    who: String,
    service: Service,
}

struct Watcher<'a> {
    session: &'a Session,
    reader: Reader,
    task: Task,
    /// The engine that was announced last.
    told: Option<Told>,
    /// The process that held the lock at the last look, and since when.
    seen: Option<(u32, Instant)>,
}

impl<'a> Watcher<'a> {
    fn new(session: &'a Session, task: Task) -> Result<Watcher<'a>, CliError> {
        Ok(Watcher { session, reader: session.reader()?, task, told: None, seen: None })
    }

    fn watch(mut self) -> Result<Exit, CliError> {
        let (session, run) = (self.session, self.task.run);
        let stop = StopFlag::catch()?;
        let mut view = ProgressView::new(session, Shown::Run(run));
        view.show_waits();
        let mut follower = Follower::new(run, self.task.after_seq);
        loop {
            if stop.is_raised() {
                view.finish();
                return self.stopped();
            }
            match EngineLock::holder(session.state_dir()) {
                Some(holder) => self.attend(&holder, &view)?,
                None => {
                    if let Some(lock) = lock(session)? {
                        // Nobody else changes the run now.
                        follower.look(&self.reader, &mut view)?;
                        view.finish();
                        return self.take_over(lock);
                    }
                }
            }
            follower.look(&self.reader, &mut view)?;
            if let Some(ending) = self.ending()? {
                follower.look(&self.reader, &mut view)?;
                view.finish();
                return report(session, run, ending);
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Tells who the engine is, and asks it to continue the run if it can.
    fn attend(&mut self, holder: &Holder, view: &ProgressView) -> Result<(), CliError> {
        let since = match self.seen {
            Some((pid, since)) if pid == holder.pid => since,
            _ => self.seen.insert((holder.pid, Instant::now())).1,
        };
        if holder.slots.is_none() && since.elapsed() < SETTLING {
            return Ok(());
        }
        let service = self.service(holder)?;
        if self.task.request.is_some() && service == Service::Ours && !self.ask()? {
            return Ok(());
        }
        let told = Told { who: holder.short(), service };
        if self.told.as_ref() != Some(&told) {
            self.tell(holder, &told, view);
            self.told = Some(told);
        }
        Ok(())
    }

    fn service(&self, holder: &Holder) -> Result<Service, CliError> {
        let run = self.task.run;
        Ok(match holder.run {
            Some(other) if other != run && !self.reader.ancestors(run)?.contains(&other) => Service::Other(other),
            _ => Service::Ours,
        })
    }

    /// Sends the request. False if the engine has changed meanwhile and drives something else.
    fn ask(&mut self) -> Result<bool, CliError> {
        let Some(request) = &self.task.request else { return Ok(true) };
        let session = self.session;
        match ask(session, self.task.run, request) {
            Ok(()) => {
                self.task.request = None;
                self.task.start = Start::GoOn;
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::Refused => match EngineLock::holder(session.state_dir()) {
                Some(now) if matches!(self.service(&now)?, Service::Other(_)) => Ok(false),
                Some(_) => Err(error),
                // The next engine may be this process, which then finds the reason itself.
                None => Ok(false),
            },
            Err(error) => Err(error),
        }
    }

    /// How the run ended; `None` while an engine drives it, or this process still has to ask for it or drive it.
    fn ending(&self) -> Result<Option<Ending>, CliError> {
        if self.task.request.is_some() {
            return Ok(None);
        }
        Ok(Ending::of_status(self.reader.run(self.task.run)?.stored_status))
    }

    fn take_over(self, lock: EngineLock) -> Result<Exit, CliError> {
        let (session, run) = (self.session, self.task.run);
        if let Some(ending) = self.ending()? {
            drop(lock);
            return report(session, run, ending);
        }
        if let Some(Told { who, .. }) = &self.told {
            let what = name(&self.reader, run);
            session.out.message(&format!("{who} has ended: this process drives run {what} now"));
        }
        foreground::drive(session, lock, run, self.task.start)
    }

    fn tell(&self, holder: &Holder, told: &Told, view: &ProgressView) {
        let (session, run) = (self.session, self.task.run);
        if session.out.is_json() {
            let engine = json!({ "pid": holder.pid, "host": holder.host, "run": holder.run });
            session.out.announce("", json!({ "type": "watching", "run": { "id": run }, "engine": engine }));
        }
        let other = match told.service {
            Service::Ours => None,
            Service::Other(other) => Some(name(&self.reader, other)),
        };
        let what = (&*name(&self.reader, run), &*handle_of(session.state_dir(), run));
        announcement(&told.who, what, other.as_deref()).iter().for_each(|line| view.print(line));
    }

    /// Says what becomes of the run that nobody watches any more.
    fn stopped(&self) -> Result<Exit, CliError> {
        let (session, run) = (self.session, self.task.run);
        let status = self.reader.run(run)?.status;
        let goes_on = matches!(status, RunStatus::Pending | RunStatus::Running | RunStatus::Canceling);
        let engine = self.told.as_ref().filter(|told| goes_on && told.service == Service::Ours);
        let what = (&*name(&self.reader, run), &*handle_of(session.state_dir(), run));
        farewell(engine.map(|told| &*told.who), what, status).iter().for_each(|line| session.out.message(line));
        Ok(Exit::Interrupted)
    }
}

/// What a person has to know at the start. `what` is the run's name and its handle in commands; `other` is the only run
/// that the engine drives, unless that is this one.
fn announcement(who: &str, what: (&str, &str), other: Option<&str>) -> Vec<String> {
    let (run, handle) = what;
    match other {
        None => {
            let pause = shell::stepwell("pause", [handle]);
            vec![
                format!("{who} is the engine here and drives run {run}; this command watches"),
                format!("hint: Ctrl-C stops watching, not the run; {pause} interrupts it"),
            ]
        }
        Some(other) => {
            let cancel = shell::stepwell("cancel", [handle]);
            vec![
                format!("{who} drives run {other}; run {run} starts here when that process ends"),
                format!("hint: Ctrl-C stops waiting and leaves the run as it is; {cancel} drops it"),
                "hint: to have several runs at the same time, start `stepwell worker` before them".to_owned(),
            ]
        }
    }
}

/// What becomes of the run after the watching; `engine` is the process that drives it.
fn farewell(engine: Option<&str>, what: (&str, &str), status: RunStatus) -> [String; 2] {
    let (run, handle) = what;
    match engine {
        Some(who) => {
            let (watch, pause) = (shell::stepwell("watch", [handle]), shell::stepwell("pause", [handle]));
            [
                format!("stopped watching; run {run} continues in {who}"),
                format!("hint: {watch} follows it, {pause} interrupts it"),
            ]
        }
        None => {
            let resume = shell::stepwell("resume", [handle]);
            [
                format!("stopped waiting; run {run} is {}", status.as_str()),
                format!("hint: {resume} or `stepwell worker` runs it"),
            ]
        }
    }
}

fn name(reader: &Reader, run: RunId) -> String {
    reader.run(run).map_or_else(|_| run.to_string(), |row| format!("`{}`", row.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: (&str, &str) = ("`two`", "two");

    #[test]
    fn the_start_says_who_drives_and_what_ctrl_c_does() {
        assert_eq!(
            announcement("process 7", WHAT, None).join("\n"),
            "process 7 is the engine here and drives run `two`; this command watches\n\
             hint: Ctrl-C stops watching, not the run; `stepwell pause two` interrupts it"
        );
        assert_eq!(
            announcement("process 7", WHAT, Some("`one`")).join("\n"),
            "process 7 drives run `one`; run `two` starts here when that process ends\n\
             hint: Ctrl-C stops waiting and leaves the run as it is; `stepwell cancel two` drops it\n\
             hint: to have several runs at the same time, start `stepwell worker` before them"
        );
    }

    #[test]
    fn the_end_of_the_watching_says_what_becomes_of_the_run() {
        assert_eq!(
            farewell(Some("process 7"), WHAT, RunStatus::Running).join("\n"),
            "stopped watching; run `two` continues in process 7\n\
             hint: `stepwell watch two` follows it, `stepwell pause two` interrupts it"
        );
        assert_eq!(
            farewell(None, WHAT, RunStatus::Pending).join("\n"),
            "stopped waiting; run `two` is pending\nhint: `stepwell resume two` or `stepwell worker` runs it"
        );
    }
}
