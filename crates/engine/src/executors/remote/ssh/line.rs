//! Commands on the host. `ssh` checks the host's key; this program never turns that off.

use std::cell::Cell;
use std::fs::DirBuilder;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stepwell_base::failure::Failure;
use stepwell_workflow::executor::Ssh;

use super::super::host::HostError;
use super::super::program::{Printed, run};

/// Longest time for an answer to a small command.
const LIMIT: Duration = Duration::from_secs(40);
/// Longest time for one file.
pub(super) const TRANSFER: Duration = Duration::from_secs(6 * 3600);
/// Time between two looks for the shared connection. Without it, a command takes longer, and that is all.
const CHECK: Duration = Duration::from_secs(15);
/// The exit code of `ssh` itself.
const OWN_ERROR: i32 = 255;
/// A connection without traffic ends after three of these.
const ALIVE: [&str; 8] = [
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "StrictHostKeyChecking=yes",
];

pub(super) struct Line {
    config: Ssh,
    /// When the shared connection was last seen.
    connected_at: Cell<Option<Instant>>,
}

impl Line {
    pub(super) fn new(config: Ssh) -> Line {
        Line { config, connected_at: Cell::default() }
    }

    pub(super) fn host(&self) -> &str {
        &self.config.host
    }

    /// Runs a script of the POSIX shell, and returns what it prints.
    pub(super) fn shell(&self, script: &str) -> Result<Vec<u8>, HostError> {
        self.send(script, std::io::empty(), LIMIT)
    }

    /// Like [`Line::shell`], with input for the script.
    pub(super) fn send(
        &self,
        script: &str,
        input: impl Read + Send + 'static,
        limit: Duration,
    ) -> Result<Vec<u8>, HostError> {
        self.connect();
        let printed = run(self.command(script), input, limit)?;
        if printed.code == Some(0) { Ok(printed.out) } else { Err(self.explain(&printed)) }
    }

    /// The command of a script, for callers that read its output themselves.
    pub(super) fn command(&self, script: &str) -> Command {
        let mut command = self.ssh();
        command.args(["-o", "ControlMaster=no", "--", &self.config.host]).arg(format!("sh -c {}", quoted(script)));
        command
    }

    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        // Of two values, `ssh` takes the first: a person's options win.
        command.args(&self.config.options).args(ALIVE).arg("-o").arg(format!("ControlPath={}/%C", control().display()));
        if let Some(port) = self.config.port {
            command.arg("-p").arg(port.to_string());
        }
        command
    }

    /// Opens the connection that later commands share, if there is none. Without it each command connects by itself.
    fn connect(&self) {
        if self.connected_at.get().is_some_and(|at| at.elapsed() < CHECK) {
            return;
        }
        self.connected_at.set(Some(Instant::now()));
        if DirBuilder::new().recursive(true).mode(0o700).create(control()).is_err() {
            return;
        }
        let quiet = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        };
        let mut check = self.ssh();
        check.args(["-O", "check", "--", &self.config.host]);
        quiet(&mut check);
        if check.status().is_ok_and(|status| status.success()) {
            return;
        }
        let mut open = self.ssh();
        open.args(["-f", "-N", "-o", "ControlMaster=yes", "-o", "ControlPersist=60", "--", &self.config.host]);
        quiet(&mut open);
        let _ = open.status();
    }

    /// Tells what `ssh` refuses for good from what may pass, and both from a script that failed there.
    pub(super) fn explain(&self, printed: &Printed) -> HostError {
        let (host, error) = (&self.config.host, printed.err.as_str());
        let refused =
            |what: &str, hint: String| HostError::Refused(Failure::fatal(format!("{what}: {error}")).with_hint(hint));
        if printed.code != Some(OWN_ERROR) {
            if error.contains("No space left") || error.contains("quota") {
                let failure = Failure::retryable(format!("the disk of {host} is full: {error}"));
                let hint = format!("remove what is not needed from `{}` there", self.config.folder);
                return HostError::Refused(failure.with_hint(hint));
            }
            return HostError::Unreachable(format!("a command on {host} failed: {error}"));
        }
        if error.contains("IDENTIFICATION HAS CHANGED") {
            let hint =
                format!("somebody may listen in: ask its owner, then `ssh-keygen -R {host}` and connect once by hand");
            return refused(&format!("the key of {host} has changed, so nothing was sent"), hint);
        }
        if error.contains("Host key verification failed") || error.contains("host key is known") {
            let hint = format!("compare its fingerprint once by hand: `ssh {host}`");
            return refused(&format!("the key of {host} is not known"), hint);
        }
        if error.contains("Permission denied") {
            let hint = format!(
                "`ssh -o BatchMode=yes {host} true` must work without a password; `options = [\"-i\", \"KEY\"]` names a key"
            );
            return refused(&format!("{host} does not accept this user"), hint);
        }
        if error.contains("Could not resolve") {
            return refused(
                &format!("there is no host `{host}`"),
                "correct `host` of the executor in stepwell.toml".to_owned(),
            );
        }
        HostError::Unreachable(format!("{host}: {error}"))
    }
}

/// Folder of the sockets of shared connections: short, because the names of sockets are limited to about 100 bytes.
fn control() -> PathBuf {
    let own = format!("stepwell-ssh-{}", rustix::process::getuid().as_raw());
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from).join(own)
}

/// Quotes for a POSIX shell, byte for byte.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new(Ssh { host: "box".into(), port: None, folder: "s".into(), options: Vec::new(), program: None })
    }

    #[test]
    fn refusals_and_drops_are_told_apart() {
        let printed = |code, err: &str| Printed { code: Some(code), out: Vec::new(), err: err.to_owned() };
        for (error, word) in [
            ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @ Host key verification failed.", "ssh-keygen -R box"),
            ("No ED25519 host key is known for box and you have requested strict checking.", "fingerprint"),
            ("user@box: Permission denied (publickey).", "BatchMode"),
            ("ssh: Could not resolve hostname box: Name or service not known", "host"),
        ] {
            let HostError::Refused(failure) = line().explain(&printed(255, error)) else { panic!("{error}") };
            assert!(failure.hint.unwrap().contains(word), "{error}");
        }
        let dropped = line().explain(&printed(255, "ssh: connect to host box port 22: Connection refused"));
        assert!(matches!(dropped, HostError::Unreachable(_)));
        let full = line().explain(&printed(1, "cat: write error: No space left on device"));
        assert!(matches!(full, HostError::Refused(failure) if failure.message.contains("full")));
    }

    #[test]
    fn scripts_pass_two_shells_unchanged() {
        assert_eq!(quoted("a 'b' \"$c\""), "'a '\\''b'\\'' \"$c\"'");
    }
}
