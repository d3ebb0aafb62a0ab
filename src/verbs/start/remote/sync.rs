//! `stepwell remote sync`

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::shown;
use crate::drive::rented::Desk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::{bytes, table};
use crate::view::words::count;
use stepwell_base::duration::later;
use stepwell_remote::{Action, Event, Machine, Proposal, RemoteError, RemoteFile, Shell, list_files, pull, unsynced};

/// Files that are listed for people.
const SHOWN: usize = 50;

/// Copy the files of a machine back, those that the plan names
///
/// Without `--confirm` it lists what would be copied. Every file arrives whole, with the digest that the machine has, or not
/// at all; files that are here already are not copied again.
#[derive(Args, Debug)]
pub struct SyncArgs {
    /// Key of the machine, or its first digits
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    /// Digest that the dry run printed
    #[arg(long, value_name = "DIGEST")]
    pub confirm: Option<String>,
}

pub fn sync(session: &Session, args: &SyncArgs) -> Result<Exit, CliError> {
    let mut desk = Desk::open(session)?;
    let mut machine = desk.find(&args.machine)?;
    let shell = open_shell(&desk, &machine)?;
    let folder = desk.copies(&machine);
    if let Some(digest) = &args.confirm {
        desk.keep(&mut machine, |keeper, machine| keeper.confirmed(machine, Action::Sync, digest).map(|_| ()))?;
        let (files, copied) = copy_back(&mut desk, &mut machine, &shell)?;
        let left = list(&desk, &machine, &shell)?;
        let human = format!(
            "copied {} ({}) to {}{}",
            count(files as u64, "file"),
            bytes(copied),
            folder.display(),
            if left.is_empty() {
                String::new()
            } else {
                format!("; {} changed meanwhile", count(left.len() as u64, "file"))
            }
        );
        let value = json!({ "machine": machine.plan.key, "files": files, "bytes": copied, "folder": folder, "left": paths(&left), "acts": true });
        session.out.document(&human, value)?;
        return Ok(Exit::Ok);
    }
    let missing = list(&desk, &machine, &shell)?;
    let proposal = Proposal {
        action: Action::Sync,
        call: format!("copy {} to {}", machine.plan.sync.down.join(", "), folder.display()),
        cost: machine.cost(),
        // The work writes while it is copied, so a consent is for the places and not for the contents.
        files: String::new(),
        discarded: 0,
        expires_at: later(Timestamp::now(), desk.account(Some(&machine.plan.provider))?.consent),
    };
    let digest = proposal.digest(&machine.plan.key);
    let shown = files_text(&missing);
    let human = format!(
        "{shown}would be copied to {}\nNothing has been copied. To copy: stepwell remote sync {} --confirm {digest} (until {})",
        folder.display(),
        machine.plan.key,
        shown::time(proposal.expires_at)
    );
    let value = json!({ "machine": machine.plan.key, "files": paths(&missing), "folder": folder, "digest": digest, "expires_at": proposal.expires_at, "acts": false });
    desk.keep(&mut machine, |keeper, machine| keeper.record(machine, Event::Proposed { proposal }))?;
    session.out.document(&human, value)?;
    Ok(Exit::Ok)
}

/// A shell on a machine that exists.
pub(super) fn open_shell(desk: &Desk<'_>, machine: &Machine) -> Result<Shell, CliError> {
    desk.shell(machine)?.filter(|_| machine.state.may_be_billed()).ok_or_else(|| {
        CliError::failed(format!("`{}` has no shell: it is {}", machine.plan.key, machine.state.as_str()))
            .hint("`stepwell remote status` asks the provider")
    })
}

/// The files of the plan that have no equal copy here.
pub(super) fn list(desk: &Desk<'_>, machine: &Machine, shell: &Shell) -> Result<Vec<RemoteFile>, CliError> {
    let files = list_files(shell, &machine.plan.sync.down).map_err(RemoteError::from)?;
    Ok(unsynced(&files, &desk.copies(machine)).map_err(RemoteError::from)?)
}

/// Copies what is missing; returns the number of files and of bytes.
pub(super) fn copy_back(desk: &mut Desk<'_>, machine: &mut Machine, shell: &Shell) -> Result<(usize, u64), CliError> {
    let missing = list(desk, machine, shell)?;
    let copied = pull(shell, &missing, &desk.copies(machine)).map_err(RemoteError::from)?;
    if !missing.is_empty() {
        let files = missing.len() as u64;
        desk.keep(machine, |keeper, machine| keeper.record(machine, Event::Synced { files, bytes: copied }))?;
    }
    Ok((missing.len(), copied))
}

pub(super) fn paths(files: &[RemoteFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

/// A table of files, with its first rows.
pub(super) fn files_text(files: &[RemoteFile]) -> String {
    if files.is_empty() {
        return "no file ".to_owned();
    }
    let rows = files.iter().take(SHOWN).map(|file| vec![file.path.clone(), file.sha256[..12].to_owned()]);
    let more = files.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("and {more} more ") } else { String::new() };
    format!("{}{more}", table(&["file", "sha256"], rows.collect()))
}
