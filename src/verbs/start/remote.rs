//! `stepwell remote plan|launch|status|sync|ssh|terminate|audit`

mod alerts;
mod audit;
mod launch;
mod mock;
mod plan;
mod shown;
mod ssh;
mod status;
mod sync;
mod terminate;

use clap::Subcommand;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Rent a machine, and never leave one behind
///
/// `[remote.NAME]` in stepwell.toml names who rents machines out. Whatever costs money or ends a machine is a dry run first: it
/// prints what would happen and a digest, and only `--confirm DIGEST` acts, for 15 minutes. A machine is recorded before it is
/// asked for, so none is lost when this program dies.
#[derive(Subcommand, Debug)]
pub enum RemoteVerb {
    Plan(plan::PlanArgs),
    Launch(launch::LaunchArgs),
    Status(status::StatusArgs),
    Sync(sync::SyncArgs),
    Ssh(ssh::SshArgs),
    Terminate(terminate::TerminateArgs),
    Audit(audit::AuditArgs),
    #[command(hide = true)]
    Mock(mock::MockArgs),
}

pub fn remote(session: &Session, verb: &RemoteVerb) -> Result<Exit, CliError> {
    match verb {
        RemoteVerb::Plan(args) => plan::plan(session, args),
        RemoteVerb::Launch(args) => launch::launch(session, args),
        RemoteVerb::Status(args) => status::status(session, args),
        RemoteVerb::Sync(args) => sync::sync(session, args),
        RemoteVerb::Ssh(args) => ssh::ssh(session, args),
        RemoteVerb::Terminate(args) => terminate::terminate(session, args),
        RemoteVerb::Audit(args) => audit::audit(session, args),
        RemoteVerb::Mock(args) => mock::mock(session, args),
    }
}
