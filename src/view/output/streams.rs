//! The two output streams of the program; no other code writes to them. A failing stream never panics.
#![expect(clippy::disallowed_methods, reason = "the owner of the streams")]

use std::io::{self, IsTerminal, Write};

use crate::error::CliError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Printed {
    Written,
    /// The pipe or the terminal is closed, so printing more is useless.
    ReaderGone,
}

/// Prints on standard output.
///
/// # Errors
/// `Internal` when standard output cannot take the bytes, such as on a full disk. A reader that has gone away is not an
/// error.
pub fn print(bytes: &[u8]) -> Result<Printed, CliError> {
    match write(io::stdout().lock(), bytes) {
        Ok(()) => Ok(Printed::Written),
        Err(error) if is_gone(&error) => Ok(Printed::ReaderGone),
        Err(error) => Err(CliError::internal("write standard output", error)),
    }
}

/// Prints on standard error and ignores failures, because no other stream could report them.
pub fn tell(text: &str) {
    let _ = write(io::stderr().lock(), format!("{text}\n").as_bytes());
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Columns of the terminal that standard output is; `None` for anything else.
pub fn stdout_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn write(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).and_then(|()| stream.flush())
}

/// Detects a closed pipe or a closed terminal (EIO).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
