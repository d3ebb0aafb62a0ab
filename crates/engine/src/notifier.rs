//! Runs the owner's program once per ended run and per alert, on a thread of its own: a program that fails or hangs delays no run.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value, json};

use stepwell_base::ids::RunId;
use stepwell_store::{NOTIFY_LOG_FILE, Reader, RunRow, StoreError};

use crate::inbox::Message;

/// A run and the time of its end.
pub(crate) type End = (RunId, Timestamp);

/// Longest run of the program for one end.
const TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Most bytes of the message. A pipe takes them at once, even if the program never reads.
const LONGEST: usize = 16 << 10;
/// Bytes of the log beyond which it starts again.
const LONGEST_LOG: u64 = 1 << 20;

/// An alert of a run, once: an engine that dies now does not tell it again.
pub(crate) struct Alarm {
    pub run: RunId,
    pub kind: &'static str,
    pub message: String,
    pub at: Timestamp,
}

enum Notice {
    End(End),
    Alarm(Alarm),
}

/// The thread; it ends when this value is dropped.
pub(crate) struct Notifier {
    queue: Sender<Notice>,
}

impl Notifier {
    pub(crate) fn start(command: Vec<String>, state_dir: PathBuf, sender: SyncSender<Message>) -> Notifier {
        let (queue, notices) = channel();
        thread::spawn(move || serve(&notices, &command, &state_dir, &sender));
        Notifier { queue }
    }

    pub(crate) fn tell(&self, end: End) {
        // Fails only if the thread has panicked; the next engine tells the end then.
        let _ = self.queue.send(Notice::End(end));
    }

    pub(crate) fn raise(&self, alarm: Alarm) {
        let _ = self.queue.send(Notice::Alarm(alarm));
    }
}

fn serve(notices: &Receiver<Notice>, command: &[String], state_dir: &Path, sender: &SyncSender<Message>) {
    for notice in notices {
        let told = match notice {
            Notice::End(end) => {
                let problem = tell(command, state_dir, end.0, None).err();
                // If the engine is gone, the next one tells the end again.
                sender.send(Message::Told { end, problem })
            }
            Notice::Alarm(alarm) => match tell(command, state_dir, alarm.run, Some(&alarm)) {
                Ok(()) => Ok(()),
                Err(problem) => sender.send(Message::Warning(problem)),
            },
        };
        if told.is_err() {
            return;
        }
    }
}

/// Runs the program with the message on its standard input: an alert, or the end of the run.
///
/// # Errors
/// A warning for people.
fn tell(command: &[String], state_dir: &Path, run: RunId, alarm: Option<&Alarm>) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let shown = format!("the notify command `{program}`");
    let log = state_dir.join(NOTIFY_LOG_FILE);
    let failed = |why: &dyn std::fmt::Display| format!("{shown} {why}; its output is in `{}`", log.display());
    let reader = Reader::open(state_dir).map_err(|error| failed(&error))?;
    let row = reader.run(run).map_err(|error| failed(&error))?;
    let message = message(&reader, state_dir, &row, alarm).map_err(|error| failed(&error))?;
    let output = open_log(&log).map_err(|error| failed(&error))?;
    let errors = output.try_clone().map_err(|error| failed(&error))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("STEPWELL_RUN_ID", run.to_string())
        .env("STEPWELL_RUN_NAME", &row.name)
        .env("STEPWELL_RUN_WORKFLOW", &row.workflow)
        .env("STEPWELL_RUN_STATUS", row.stored_status.as_str())
        .env("STEPWELL_STATE_DIR", state_dir)
        .env("STEPWELL_ALERT", alarm.map_or("", |alarm| alarm.kind))
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        // No failpoint: an end that is not confirmed is told again.
        .spawn()
        .map_err(|error| format!("{shown} cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A program may ignore its input.
        let _ = input.write_all(message.as_bytes());
    }
    wait(&mut child).map_err(|why| failed(&why))
}

fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() > LONGEST_LOG {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Waits for the program, and kills it with its children when its time is over.
fn wait(child: &mut Child) -> Result<(), String> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed: {status}")),
            Ok(None) if Instant::now() < deadline => thread::sleep(PAUSE),
            Ok(None) => {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait();
                return Err(format!("took longer than {} s and was killed", TIMEOUT.as_secs()));
            }
            Err(error) => return Err(format!("was lost: {error}")),
        }
    }
}

/// One line of JSON. `text` is the key that chat services show.
fn message(reader: &Reader, state_dir: &Path, run: &RunRow, alarm: Option<&Alarm>) -> Result<String, StoreError> {
    let values = numbers(reader, run.id)?;
    let mut message = json!({
        "schema": 1,
        "type": "run_ended",
        "text": text(run),
        "run": {
            "id": run.id,
            "name": run.name,
            "workflow": run.workflow,
            "status": run.stored_status.as_str(),
            "created_at": run.created_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "failure": run.failure.as_ref().map(|failure| failure.headline()),
        },
        "tags": reader.annotation(run.id)?.tags,
        "values": values,
        "state_dir": state_dir.display().to_string(),
    });
    if let Some(Alarm { kind, message: why, at, .. }) = alarm {
        message["type"] = "run_alerted".into();
        message["text"] = format!("run {}: {why}", run.name).into();
        message["alert"] = json!({ "kind": kind, "message": why, "at": at });
    }
    if message.to_string().len() > LONGEST {
        message["values"] = Value::Object(Map::new());
    }
    Ok(format!("{message}\n"))
}

/// The numbers that the steps of a run gave as values, by step.
pub(crate) fn numbers(reader: &Reader, run: RunId) -> Result<Map<String, Value>, StoreError> {
    let mut values = Map::new();
    for step in reader.overview(run, 0)? {
        let numbers = step.outputs.map(|outputs| outputs.values).unwrap_or_default();
        let numbers: Map<String, Value> = numbers.into_iter().filter(|(_, value)| value.is_number()).collect();
        if !numbers.is_empty() {
            values.insert(step.id.to_string(), Value::Object(numbers));
        }
    }
    Ok(values)
}

fn text(run: &RunRow) -> String {
    let mut text = format!("run {} {}", run.name, run.stored_status);
    if let (Some(start), Some(end)) = (run.started_at, run.finished_at) {
        let seconds = (end - start).total(Unit::Second).unwrap_or_default().max(0.0);
        text.push_str(&format!(" after {}", shown(seconds)));
    }
    if let Some(failure) = &run.failure {
        text.push_str(&format!(": {}", failure.headline()));
    }
    text
}

fn shown(seconds: f64) -> String {
    match seconds as u64 {
        whole @ 0..60 => format!("{whole} s"),
        whole @ 60..3600 => format!("{} min", whole / 60),
        whole => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}
