//! Runs a program of another system, such as `sbatch`, with a limit on its time and on what it prints.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::host::HostError;
use stepwell_base::failure::Failure;

/// Time between two looks at a program that runs.
const POLL: Duration = Duration::from_millis(5);
const MOST_PRINTED: u64 = 64 << 20;
/// Most characters of a message.
const MOST_SHOWN: usize = 600;

/// What a program has printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Printed {
    /// `None` after a signal.
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

/// Runs a program to its end. It is killed after `limit`.
///
/// # Errors
/// `Refused` when the program does not exist; `Unreachable` when it takes too long or cannot be run now.
pub(super) fn run(
    mut command: Command,
    mut input: impl Read + Send + 'static,
    limit: Duration,
) -> Result<Printed, HostError> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // No failpoint: the drills kill the engine around it, and whoever looks afterwards finds the attempt by its key.
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let failure = Failure::fatal(format!("the program `{name}` is not installed on this machine"));
            let hint = format!(
                "install it, or run the step elsewhere: `executor = \"local\"`; `command -v {name}` finds it in PATH"
            );
            return Err(HostError::Refused(failure.with_hint(hint)));
        }
        Err(error) => return Err(HostError::Unreachable(format!("cannot start `{name}`: {error}"))),
    };
    let stdin = child.stdin.take();
    // A program that does not read its input has a reason, which it prints.
    let writer = thread::spawn(move || drop(stdin.map(|mut stdin| io::copy(&mut input, &mut stdin))));
    let out = child.stdout.take().map(|stream| thread::spawn(move || read(stream)));
    let err = child.stderr.take().map(|stream| thread::spawn(move || read(stream)));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let Some(status) = status else {
        return Err(HostError::Unreachable(format!("`{name}` did not answer within {} s", limit.as_secs())));
    };
    let _ = writer.join();
    let joined =
        |reader: Option<thread::JoinHandle<Vec<u8>>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let (out, err) = (joined(out), joined(err));
    let err: String = String::from_utf8_lossy(&err).trim().chars().take(MOST_SHOWN).collect();
    Ok(Printed { code: status.code(), out, err })
}

fn read(stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error still helps.
    let _ = stream.take(MOST_PRINTED).read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_input_pass_through() {
        let printed = run(shell("cat; echo oops >&2; exit 3"), &b"hello"[..], Duration::from_secs(10)).unwrap();
        assert_eq!(printed, Printed { code: Some(3), out: b"hello".to_vec(), err: "oops".to_owned() });
    }

    #[test]
    fn a_missing_program_is_no_outage_and_a_hanging_one_is() {
        let missing = run(Command::new("no-such-program"), io::empty(), Duration::from_secs(1));
        assert!(matches!(missing, Err(HostError::Refused(failure)) if failure.message.contains("not installed")));
        let hangs = run(shell("exec sleep 60"), io::empty(), Duration::from_millis(50));
        assert!(matches!(hangs, Err(HostError::Unreachable(_))));
    }
}
