//! `stepwell report RUN [RUN...]`

mod chart;
mod curves;
mod markup;
mod page;
mod parameters;
mod record;
mod results;
mod samples;
mod scale;
mod steps;
mod subject;
#[cfg(test)]
mod tests;
mod thin;
mod top;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::bytes;
use stepwell_base::ids::RunId;
use stepwell_base::names::path_component;
use stepwell_store::{Reader, StoreError};

/// Most runs in one report.
const MOST_RUNS: usize = 20;

/// Write one HTML file about runs: curves, results, samples, parameters, environment and digests
///
/// The file needs nothing else: no network, no scripts, no other files. Mail it, print it, or keep it with a paper. Several
/// runs are drawn over each other, and the parameters that differ come first.
///
///   stepwell report                       the newest run, into report-NAME.html
///   stepwell report base wide -o two.html
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ReportArgs {
    /// Ids, unique prefixes of ids, names, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub runs: Vec<String>,
    /// File to write, `-` for standard output [default: report-NAME.html]
    #[arg(short = 'o', long = "file", aliases = ["out", "html", "to"], value_name = "FILE")]
    pub file: Option<PathBuf>,
}

pub fn report(session: &Session, args: &ReportArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let runs = chosen(&reader, &args.runs)?;
    let page = page::page(session, &reader, &runs)?;
    if args.file.as_deref() == Some(Path::new("-")) {
        session.out.raw(page.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let file = match &args.file {
        Some(file) => file.clone(),
        None => PathBuf::from(format!("report-{}.html", path_component(&reader.run(runs[0])?.name))),
    };
    write(&file, &page).map_err(|error| CliError::io("write", &file, error))?;
    let shown = file.display().to_string();
    let text = format!("{shown}  {}", bytes(page.len() as u64));
    session.out.document(&text, json!({ "file": shown, "bytes": page.len(), "runs": runs }))?;
    Ok(Exit::Ok)
}

fn chosen(reader: &Reader, words: &[String]) -> Result<Vec<RunId>, CliError> {
    let mut runs: Vec<RunId> = Vec::new();
    for word in words {
        let run = reader.resolve_run(word)?;
        if let Some(at) = reader.run(run)?.pruned_at {
            return Err(StoreError::Pruned { run, at }.into());
        }
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    if runs.len() > MOST_RUNS {
        return Err(CliError::usage(format!("{} runs are too many: a report has at most {MOST_RUNS}", runs.len()))
            .hint("`stepwell list --sort STEP.VALUE -S PARAM` lists any number of runs"));
    }
    Ok(runs)
}

/// Replaces a file as a whole, so that nobody ever finds half a report.
fn write(file: &Path, page: &str) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        // A pipe or a device, such as `/dev/null`.
        return fs::write(file, page);
    }
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(page.as_bytes())?;
    // A temporary file is for its owner only.
    temporary.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}
