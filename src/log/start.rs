//! Starts logging in this process. `STEPWELL_LOG` chooses what is logged, such as `debug` or `stepwell_engine=trace,warn`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::rotated::RotatedFile;
use crate::error::CliError;
use crate::view::output::streams;
use stepwell_engine::log::SHOWN;
use stepwell_store::LOG_FILE;

const VARIABLE: &str = "STEPWELL_LOG";
/// Together with the full files, a state directory keeps at most 32 MiB of log.
const LIMIT: u64 = 8 << 20;
const KEEP: usize = 3;

/// Refuses a `STEPWELL_LOG` that is no filter.
///
/// # Errors
/// `Usage`.
pub fn check() -> Result<(), CliError> {
    let Some(directives) = directives() else { return Ok(()) };
    let Err(error) = EnvFilter::try_new(&directives) else { return Ok(()) };
    Err(CliError::usage(format!("{VARIABLE} is `{directives}`: {error}")).hint(format!(
        "use a level, such as `{VARIABLE}=debug`, or levels per module, such as `{VARIABLE}=warn,stepwell_engine=trace`"
    )))
}

/// Logs what an engine does to `engine.log` in its state directory, and warnings to standard error. Without a file, such
/// as on a full disk, the engine works as before.
pub fn engine(state_dir: &Path) {
    let file = fs::create_dir_all(state_dir).and_then(|()| RotatedFile::open(&state_dir.join(LOG_FILE), LIMIT, KEEP));
    let file = file.ok().map(|file| {
        tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(file)).with_filter(filter("info"))
    });
    let stderr = stderr().with_filter(filter(&format!("warn,{SHOWN}=off")));
    // A second engine of this process logs where the first one does.
    let _ = tracing_subscriber::registry().with(stderr).with(file).try_init();
}

/// Logs warnings of a worker to its standard error, which is the log of its attempt.
pub fn worker() {
    let _ = tracing_subscriber::registry().with(stderr().with_filter(filter("warn"))).try_init();
}

fn filter(default: &str) -> EnvFilter {
    let chosen = directives().and_then(|directives| EnvFilter::try_new(directives).ok());
    chosen.unwrap_or_else(|| EnvFilter::new(default))
}

fn directives() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|directives| !directives.trim().is_empty())
}

fn stderr<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(Stderr)
}

/// Standard error through the type that owns it.
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line
    }
}

struct Line;

impl Write for Line {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        streams::tell(String::from_utf8_lossy(record).trim_end());
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
