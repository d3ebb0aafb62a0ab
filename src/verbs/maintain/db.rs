//! `stepwell db check|backup|restore`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::shown_path;
use stepwell_store::{self, ARTIFACTS_DIR, Backup, EngineLock};

/// Check, copy and restore the state database
#[derive(Subcommand, Debug)]
pub enum DbVerb {
    /// Check integrity, the event log's hash chain, and that the tables agree with the events
    ///
    /// Exits with 3 if it finds a problem, and says how to repair it. `artifact verify` checks the artifacts.
    Check,
    /// Copy the database into a new folder, even while an engine runs
    ///
    /// The folder is laid out like a state directory: `stepwell list --state-dir PATH` reads it. Without `--artifacts` it
    /// has neither the contents of artifacts nor logs and metrics files. It never has exported models.
    Backup {
        /// Folder to create
        path: PathBuf,
        /// Also copy the contents of artifacts, and verify them, and the logs and metrics files of all runs
        #[arg(long, aliases = ["full", "all", "with-artifacts"])]
        artifacts: bool,
    },
    /// Replace the database with a backup; the old one is kept under `backups/`
    ///
    /// No engine may run. Artifacts, logs and metrics files that the backup holds are put back if they are missing.
    Restore {
        /// Folder that `db backup` made, or a file of `backups/`
        path: PathBuf,
    },
}

pub fn db(session: &Session, verb: &DbVerb) -> Result<Exit, CliError> {
    match verb {
        DbVerb::Check => check(session),
        DbVerb::Backup { path, artifacts } => backup(session, path, *artifacts),
        DbVerb::Restore { path } => restore(session, path),
    }
}

fn check(session: &Session) -> Result<Exit, CliError> {
    let problems = stepwell_store::check(session.state_dir())?;
    let problems: Vec<String> =
        problems.iter().map(|problem| format!("{} ({})", problem.what, session.out.pasteable(&problem.hint))).collect();
    let human = if problems.is_empty() { "the state database is sound".to_owned() } else { problems.join("\n") };
    session.out.document(&human, json!({ "sound": problems.is_empty(), "problems": problems }))?;
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn backup(session: &Session, path: &Path, with_artifacts: bool) -> Result<Exit, CliError> {
    let backup = Backup::begin(session.state_dir(), path)?;
    backup.snapshot()?;
    let mut human = format!("the database is in {}", path.display());
    let (mut copied, mut logs) = (None, None);
    if with_artifacts {
        let files = stepwell_engine::back_up_artifacts(session.state_dir(), &backup)?;
        let log_files = stepwell_engine::back_up_logs(session.state_dir(), &backup)?;
        human.push_str(&format!(", with {files} files of artifacts and {log_files} logs and metrics files"));
        (copied, logs) = (Some(files), Some(log_files));
    }
    backup.publish()?;
    session.out.document(&human, json!({ "path": shown_path(path), "artifacts": copied, "logs": logs }))?;
    if !with_artifacts {
        session.out.message(
            "warning: the backup has no models, checkpoints and other outputs, no logs and no files of metrics: \
             `stepwell db backup --artifacts FOLDER` copies them, too",
        );
    }
    Ok(Exit::Ok)
}

fn restore(session: &Session, path: &Path) -> Result<Exit, CliError> {
    let state_dir = session.state_dir();
    let lock = EngineLock::acquire(state_dir)?;
    let replaced = stepwell_store::restore(&lock, path)?;
    let mut human = format!("the state is that of {}", path.display());
    if let Some(replaced) = &replaced {
        human.push_str(&format!("; the database before it is in {}", replaced.display()));
    }
    let mut files = None;
    if path.join(ARTIFACTS_DIR).is_dir() {
        let count = stepwell_engine::put_back_artifacts(state_dir, path)?;
        human.push_str(&format!("; {count} files of artifacts were put back"));
        files = Some(count);
    }
    let logs = stepwell_engine::put_back_logs(state_dir, path)?;
    if logs > 0 {
        human.push_str(&format!("; {logs} logs and metrics files were put back"));
    }
    let replaced = replaced.as_deref().map(shown_path);
    session.out.document(&human, json!({ "replaced": replaced, "artifacts": files, "logs": logs }))?;
    session.out.message("`stepwell artifact verify` says whether all artifacts are there");
    Ok(Exit::Ok)
}
