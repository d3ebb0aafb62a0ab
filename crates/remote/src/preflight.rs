//! Checks on this machine before money is spent.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::RemoteError;

const POLL: Duration = Duration::from_millis(20);
/// Bytes of the last line that are kept.
const KEPT: usize = 300;

/// Runs each command with `sh`; all must succeed within `limit`.
///
/// # Errors
/// `Preflight` with the last line that the command printed.
pub fn preflight(commands: &[String], limit: Duration) -> Result<(), RemoteError> {
    commands.iter().try_for_each(|command| {
        check(command, limit).map_err(|why| RemoteError::Preflight { command: command.clone(), why })
    })
}

fn check(command: &str, limit: Duration) -> Result<(), String> {
    // A file and not a pipe: the program cannot block, whatever it prints.
    let mut printed = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let output = || printed.as_file().try_clone().map_err(|error| error.to_string());
    let (stdout, stderr) = (output()?, output()?);
    let mut process = Command::new("sh");
    process.args(["-c", command]).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let mut child = process.spawn().map_err(|error| error.to_string())?;
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if Instant::now() >= until {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Err(format!("no end within {} s", limit.as_secs()));
        }
        thread::sleep(POLL);
    };
    if status.success() {
        return Ok(());
    }
    Err(format!("{status}{}", last_line(&mut printed)))
}

fn last_line(printed: &mut tempfile::NamedTempFile) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = Vec::new();
    let file = printed.as_file_mut();
    // The message only helps a person: without it the status remains.
    let length = file.seek(SeekFrom::End(0)).unwrap_or(0);
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(4096))).and_then(|_| file.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let last: String = last.chars().take(KEPT).collect();
    if last.is_empty() { last } else { format!(": {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_package_is_named() {
        let commands = |text: &str| vec!["true".to_owned(), text.to_owned()];
        let limit = Duration::from_secs(20);
        assert!(preflight(&commands("true"), limit).is_ok());
        let error = preflight(&commands("echo start; echo 'No module named torch' >&2; exit 1"), limit).unwrap_err();
        assert!(error.to_string().ends_with("exit status: 1: No module named torch"), "{error}");
        let error = preflight(&commands("exec sleep 60"), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("no end within"), "{error}");
    }
}
