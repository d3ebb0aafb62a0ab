//! The engine itself: workers, benches, the database, settings.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Exit when nothing is left to do
    #[arg(long)]
    pub exit_when_idle: bool,
    #[command(subcommand)]
    pub verb: Option<WorkerVerb>,
}

#[derive(Subcommand, Debug)]
pub enum WorkerVerb {
    /// Run one attempt: the engine starts this
    #[command(hide = true)]
    Exec,
}

#[derive(Subcommand, Debug)]
pub enum DbVerb {
    /// Check integrity, the event log's hash chain, and that the tables agree with the events
    Check,
    /// Copy the database into a new folder, also while an engine runs
    ///
    /// The folder has the form of a state directory: `stepwell list --state-dir PATH` reads it. The contents of
    /// artifacts and the logs of attempts are not inside, unless `--artifacts` is given.
    Backup {
        /// Folder to create
        path: PathBuf,
        /// Copy the contents of artifacts as well, and verify them
        #[arg(long)]
        artifacts: bool,
    },
    /// Put a backup in the place of the database; the one before it is kept under `backups/`
    Restore {
        /// Folder that `db backup` made, or a file of `backups/`
        path: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Prune all but the newest N ended runs of each workflow [default: retention.keep_runs]
    #[arg(long, value_name = "N")]
    pub keep_runs: Option<u64>,
    /// Prune runs that ended more than D days ago; with --keep-runs, those that neither rule keeps
    #[arg(long, value_name = "D")]
    pub keep_days: Option<u64>,
}

#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Print the settings in force
    Show {
        /// Also say where each comes from
        #[arg(long)]
        origin: bool,
    },
}
