//! Commands on a machine, over `ssh` or in the folder of a mock instance.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::ShellError;
use crate::plan::Key;
use crate::provider::Address;
use stepwell_base::shell::quote;

/// Folder of a machine, below the home of its user, with everything that is copied and made there.
pub const WORK_DIR: &str = "stepwell-work";
/// `ssh` ends with this code for errors of its own.
const SSH_FAILED: i32 = 255;
/// Bytes of standard error that are read.
const MESSAGE: u64 = 16 << 10;
/// Characters of it that are kept.
const KEPT: usize = 300;
const POLL: Duration = Duration::from_millis(10);

/// A machine's shell. Its host key is kept in a file of our own, under the machine's name: the address of a rented machine
/// has belonged to others before.
pub struct Shell {
    key: Key,
    address: Address,
    known_hosts: PathBuf,
    identity: Option<PathBuf>,
}

impl Shell {
    /// # Errors
    /// `File` when the folder of the host keys cannot be made.
    pub fn new(key: &Key, address: &Address, known_hosts: &Path, identity: Option<&Path>) -> Result<Shell, ShellError> {
        if let Some(folder) = known_hosts.parent() {
            let failed = |source| ShellError::File { action: "create the folder", path: folder.to_owned(), source };
            fs::create_dir_all(folder).map_err(failed)?;
        }
        Ok(Shell {
            key: key.clone(),
            address: address.clone(),
            known_hosts: known_hosts.to_owned(),
            identity: identity.map(Path::to_owned),
        })
    }

    /// The options of `ssh`: no prompts, one file of host keys, no forwarding.
    fn ssh(&self, host: &str, port: u16, user: &str) -> Command {
        let mut command = Command::new("ssh");
        let known_hosts = format!("UserKnownHostsFile=\"{}\"", self.known_hosts.display());
        let alias = format!("HostKeyAlias={}", self.key);
        let options = [
            "BatchMode=yes",
            // The first key is kept, a changed one refused.
            "StrictHostKeyChecking=accept-new",
            "GlobalKnownHostsFile=/dev/null",
            "UpdateHostKeys=no",
            "CheckHostIP=no",
            "ForwardAgent=no",
            "ClearAllForwardings=yes",
            "ConnectTimeout=15",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=6",
            &known_hosts,
            &alias,
        ];
        for option in options {
            command.args(["-o", option]);
        }
        if let Some(identity) = &self.identity {
            command.arg("-i").arg(identity).args(["-o", "IdentitiesOnly=yes"]);
        }
        command.args(["-p", &port.to_string(), "-l", user, "--", host]);
        command
    }

    /// The process that runs `script` in the machine's home.
    pub fn command(&self, script: &str) -> Command {
        match &self.address {
            Address::Ssh { host, port, user } => {
                let mut command = self.ssh(host, *port, user);
                command.arg(format!("exec sh -c {}", quote(script)));
                command
            }
            Address::Folder { path } => {
                let mut command = Command::new("sh");
                command.args(["-c", script]).current_dir(path).env("HOME", path);
                command
            }
        }
    }

    /// A shell for a person, with a terminal.
    pub fn interactive(&self) -> Command {
        match &self.address {
            Address::Ssh { host, port, user } => {
                let mut command = self.ssh(host, *port, user);
                command.arg("-t");
                command
            }
            Address::Folder { path } => {
                let mut command = Command::new("sh");
                command.current_dir(path).env("HOME", path);
                command
            }
        }
    }

    /// Runs a short script with `input`; returns what it prints, up to `most` bytes.
    ///
    /// # Errors
    /// `HostKeyChanged`, `Unreachable`, `Failed`, `Silent`, `Nonsense` when it prints more.
    pub fn run(&self, script: &str, input: &[u8], most: u64, limit: Duration) -> Result<Vec<u8>, ShellError> {
        let mut child = self.start(script)?;
        let mut output = Vec::new();
        let mut message = Vec::new();
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let until = Instant::now() + limit;
        let ended = thread::scope(|scope| {
            scope.spawn(|| {
                // The exit code says why a script did not read its input.
                let _ = stdin.take().map(|mut stdin| stdin.write_all(input));
            });
            scope.spawn(|| stdout.map(|stream| stream.take(most + 1).read_to_end(&mut output)));
            scope.spawn(|| stderr.map(|stream| stream.take(MESSAGE).read_to_end(&mut message)));
            loop {
                match child.try_wait() {
                    Ok(Some(status)) => return Ok(Some(status)),
                    Ok(None) if Instant::now() < until => thread::sleep(POLL),
                    Ok(None) => {
                        child.kill()?;
                        return child.wait().map(|_| None);
                    }
                    Err(error) => return Err(error),
                }
            }
        });
        let ended = ended.map_err(|source| ShellError::Program { program: self.program(), source })?;
        let Some(status) = ended else { return Err(ShellError::Silent(limit.as_secs())) };
        if !status.success() {
            return Err(self.failure(status.code().unwrap_or(-1), &message));
        }
        if output.len() as u64 > most {
            return Err(ShellError::Nonsense(format!("more than {most} bytes")));
        }
        Ok(output)
    }

    pub(crate) fn start(&self, script: &str) -> Result<Child, ShellError> {
        let mut command = self.command(script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|source| ShellError::Program { program: self.program(), source })
    }

    fn program(&self) -> &'static str {
        match self.address {
            Address::Ssh { .. } => "ssh",
            Address::Folder { .. } => "sh",
        }
    }

    /// Only the hint depends on the words of `ssh`: it has refused the machine in any case.
    pub(crate) fn failure(&self, code: i32, message: &[u8]) -> ShellError {
        let message = String::from_utf8_lossy(message);
        let is_ssh = code == SSH_FAILED && matches!(self.address, Address::Ssh { .. });
        if is_ssh && (message.contains("IDENTIFICATION HAS CHANGED") || message.contains("key verification failed")) {
            return ShellError::HostKeyChanged { key: self.key.to_string(), known_hosts: self.known_hosts.clone() };
        }
        let mut lines =
            message.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("Warning: Permanently"));
        let last = lines.next_back().unwrap_or("no message").trim().chars().take(KEPT).collect();
        if is_ssh { ShellError::Unreachable(last) } else { ShellError::Failed { code, message: last } }
    }
}

/// Starts the command of a plan, detached from the connection. A second call changes nothing: the command's own process takes
/// a marker first.
///
/// # Errors
/// Those of [`Shell::run`].
pub fn start_command(shell: &Shell, command: &str) -> Result<(), ShellError> {
    let body = format!(
        "mkdir .stepwell-started 2>/dev/null || exit 0\n\
         sh -c {} > run.log 2>&1 < /dev/null\n\
         echo $? > .stepwell-exit.new && mv .stepwell-exit.new .stepwell-exit",
        quote(command)
    );
    let script = format!(
        "mkdir -p {WORK_DIR} && cd {WORK_DIR} && {{ setsid sh -c {} > /dev/null 2>&1 < /dev/null & }}\n\
         for i in 1 2 3 4 5 6 7 8 9 10; do [ -d .stepwell-started ] && exit 0; sleep 0.1; done; exit 1",
        quote(&body)
    );
    shell.run(&script, b"", 1 << 10, Duration::from_secs(60)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mock(folder: &Path) -> Shell {
        let address = Address::Folder { path: folder.display().to_string() };
        Shell::new(&Key::random(), &address, &folder.join("hosts/known"), None).unwrap()
    }

    #[test]
    fn a_command_starts_once_and_leaves_its_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let shell = mock(folder.path());
        for _ in 0..3 {
            start_command(&shell, "echo \"it's `on`\" >> count; exit 7").unwrap();
        }
        let work = folder.path().join(WORK_DIR);
        let until = Instant::now() + Duration::from_secs(20);
        while !work.join(".stepwell-exit").exists() && Instant::now() < until {
            thread::sleep(POLL);
        }
        assert_eq!(fs::read_to_string(work.join(".stepwell-exit")).unwrap(), "7\n");
        assert_eq!(fs::read_to_string(work.join("count")).unwrap().lines().count(), 1);
    }

    #[test]
    fn output_time_and_failures_have_limits() {
        let folder = tempfile::tempdir().unwrap();
        let shell = mock(folder.path());
        let run = |script: &str, most, limit| shell.run(script, b"in", most, Duration::from_millis(limit));
        assert_eq!(run("cat", 10, 5000).unwrap(), b"in");
        assert!(matches!(
            run("yes | head -c 100000", 10, 5000),
            Err(ShellError::Nonsense(_) | ShellError::Failed { .. })
        ));
        assert!(matches!(run("exec sleep 60", 10, 100), Err(ShellError::Silent(_))));
        let Err(ShellError::Failed { code: 3, message }) = run("echo no >&2; exit 3", 10, 5000) else { panic!() };
        assert_eq!(message, "no");
    }

    #[test]
    fn ssh_asks_nothing_and_keeps_host_keys_by_machine() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::random();
        let address = Address::ssh("10.0.0.1", 2222, "root").unwrap();
        let shell = Shell::new(&key, &address, &folder.path().join("known_hosts"), None).unwrap();
        let words: Vec<String> =
            shell.command("true").get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        for option in ["BatchMode=yes", "StrictHostKeyChecking=accept-new", &format!("HostKeyAlias={key}")] {
            assert!(words.iter().any(|word| word == option), "{option}: {words:?}");
        }
        assert!(words.windows(2).any(|pair| pair == ["--", "10.0.0.1"]), "{words:?}");
        let changed = shell.failure(255, b"@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n");
        assert!(matches!(changed, ShellError::HostKeyChanged { .. }));
        assert!(matches!(shell.failure(255, b"refused"), ShellError::Unreachable(_)));
        assert!(matches!(shell.failure(1, b"IDENTIFICATION HAS CHANGED"), ShellError::Failed { code: 1, .. }));
    }
}
