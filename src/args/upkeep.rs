//! Arguments for upkeep: workers, the database, garbage collection, settings.

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
    /// Run one attempt; the engine starts this
    #[command(hide = true)]
    Exec,
}

#[derive(Subcommand, Debug)]
pub enum DbVerb {
    /// Check integrity, the event log's hash chain, and that the tables agree with the events
    Check,
    /// Copy the database into a new folder, even while an engine runs
    ///
    /// The folder is laid out like a state directory: `stepwell list --state-dir PATH` reads it. It excludes the logs
    /// of attempts and, without `--artifacts`, the contents of artifacts.
    Backup {
        /// Folder to create
        path: PathBuf,
        /// Also copy the contents of artifacts, and verify them
        #[arg(long)]
        artifacts: bool,
    },
    /// Replace the database with a backup; the old one is kept under `backups/`
    Restore {
        /// Folder that `db backup` made, or a file of `backups/`
        path: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct GcArgs {
    /// Only print what would be removed
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
        /// Also print the origin of each setting
        #[arg(long)]
        origin: bool,
    },
}
