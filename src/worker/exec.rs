//! `stepwell worker exec`: one attempt in a process of its own. Standard input is a socket to the
//! engine. Its end means that the engine is gone; then the whole process group dies at once, so that
//! nothing trains on unseen. (A parent-death signal would end this process before it could end its group.)

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};

use crate::artifact::ArtifactStore;
use crate::core::failure::Failure;
use crate::core::protocol::{AttemptRequest, FromAttempt, ToAttempt};

use super::attempt::perform;
use super::reporter::{SocketReporter, write_line};

/// Milliseconds between two heartbeats.
pub const HEARTBEAT_VARIABLE: &str = "STEPWELL_HEARTBEAT_MS";

/// Used when the variable is missing, which only happens when a person runs the verb.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);

/// Serves the attempt that the engine sends. The exit code says nothing: the last message does.
pub fn exec() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stepwell worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> std::io::Result<()> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // Fails when standard input is no socket: somebody has called this by hand.
    socket.peer_addr().map_err(|_| std::io::Error::other("`worker exec` is started by the engine only"))?;
    let mut incoming = BufReader::new(socket.try_clone()?);
    let outgoing = Arc::new(Mutex::new(socket));
    let Some(request) = read_request(&mut incoming)? else { return Ok(()) };

    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let (acknowledge, acknowledged) = channel();
    let flag = interrupted.clone();
    thread::Builder::new().name("engine".into()).spawn(move || obey(incoming, &flag, &acknowledge))?;
    let beats = outgoing.clone();
    thread::Builder::new().name("heartbeat".into()).spawn(move || beat(&beats))?;

    let last = match ArtifactStore::open(&request.state_dir) {
        Ok(artifacts) => {
            let mut reporter = SocketReporter::new(outgoing.clone(), acknowledged, interrupted);
            perform(&request, &artifacts, &mut reporter)
        }
        Err(error) => FromAttempt::Failed(Failure::from(error)),
    };
    write_line(&outgoing, &last)
}

fn read_request(incoming: &mut impl BufRead) -> std::io::Result<Option<AttemptRequest>> {
    let mut line = String::new();
    incoming.read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(&line)? {
        ToAttempt::Start(request) => Ok(Some(*request)),
        other => Err(std::io::Error::other(format!("expected the request of the attempt, got {other:?}"))),
    }
}

/// Follows the engine's messages for as long as it lives, and not longer.
fn obey(incoming: impl BufRead, interrupted: &AtomicBool, acknowledge: &Sender<()>) {
    for line in incoming.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(ToAttempt::Interrupt) => interrupted.store(true, Ordering::Relaxed),
            // The reporter is gone only when the attempt is over.
            Ok(ToAttempt::CheckpointCommitted) => drop(acknowledge.send(())),
            Ok(ToAttempt::Start(_)) | Err(_) => break,
        }
    }
    die();
}

/// Ends this process with its whole group.
pub(super) fn die() -> ! {
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    std::process::exit(1);
}

/// Says that this process is running. Stopped processes and dead ones do not.
fn beat(outgoing: &Mutex<UnixStream>) {
    let period = std::env::var(HEARTBEAT_VARIABLE).ok().and_then(|text| text.parse().ok());
    let period = period.map_or(DEFAULT_HEARTBEAT, Duration::from_millis);
    loop {
        thread::sleep(period);
        if write_line(outgoing, &FromAttempt::Heartbeat).is_err() {
            die();
        }
    }
}
