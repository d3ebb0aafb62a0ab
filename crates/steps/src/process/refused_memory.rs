//! Finds out that a process died because the system refused it memory, as it does beyond a limit of the address space.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes at the end of a log that are read: a backtrace may follow the line.
const TAIL: u64 = 64 << 10;

/// True if a process with this log ended at an allocation that failed. The standard library writes a line and aborts. The line is
/// the only sign: a stack that overflows, for which the input is to blame, ends with the same signal.
pub fn ended_without_memory(log: &Path) -> bool {
    end_of(log).is_ok_and(|end| String::from_utf8_lossy(&end).lines().any(tells_a_refusal))
}

fn end_of(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut end = Vec::new();
    file.take(TAIL).read_to_end(&mut end)?;
    Ok(end)
}

fn tells_a_refusal(line: &str) -> bool {
    let number = line.strip_prefix("memory allocation of ").and_then(|rest| rest.strip_suffix(" bytes failed"));
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const LOG: &str = "STEPWELL_TEST_REFUSED_MEMORY";

    /// Dies like a worker. Run by the test below only.
    #[test]
    fn child_that_asks_for_too_much() {
        if std::env::var_os(LOG).is_some() {
            let bytes = std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX as usize / 2));
            panic!("the system gave {} bytes", bytes.capacity());
        }
    }

    #[test]
    fn a_process_that_the_system_refused_memory_is_known_by_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("attempt-1.log");
        assert!(!ended_without_memory(&log));
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--nocapture", "process::refused_memory::tests::child_that_asks_for_too_much"]);
        child.env(LOG, "1").env("RUST_BACKTRACE", "1").stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        assert!(!child.status().unwrap().success());
        assert!(ended_without_memory(&log), "{}", std::fs::read_to_string(&log).unwrap());
        for other in ["a row about memory allocation of 3 bytes failed\n", "memory allocation of x bytes failed\n", ""]
        {
            std::fs::write(&log, other).unwrap();
            assert!(!ended_without_memory(&log), "{other}");
        }
    }
}
