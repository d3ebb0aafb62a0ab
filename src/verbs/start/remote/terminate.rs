//! `stepwell remote terminate`

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{shown, sync};
use crate::drive::rented::Desk;
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::words::count;
use stepwell_base::duration::later;
use stepwell_base::error_chain::error_chain;
use stepwell_remote::{Action, Event, Machine, Proposal, RemoteError, RemoteFile, State, list_files, unsynced};

/// End a machine, once its files are here
///
/// Refuses while files that the plan names have no equal copy in the state directory, and lists them: `stepwell remote sync`
/// copies them. Without `--confirm` it prints what would be done. A machine counts as ended when the provider has said so
/// twice.
#[derive(Args, Debug)]
pub struct TerminateArgs {
    /// Key of the machine, or its first digits
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    /// Give up files that are on the machine only, or a machine that cannot be reached
    #[arg(long)]
    pub discard_unsynced: bool,
    /// Digest that the dry run printed
    #[arg(long, value_name = "DIGEST")]
    pub confirm: Option<String>,
}

pub fn terminate(session: &Session, args: &TerminateArgs) -> Result<Exit, CliError> {
    let mut desk = Desk::open(session)?;
    let mut machine = desk.find(&args.machine)?;
    match &machine.state {
        State::Planned | State::Gone { .. } => {
            let what = format!("`{}` has no instance: it is {}", machine.plan.key, shown::state_text(&machine));
            return Err(CliError::new(ErrorKind::Refused, what));
        }
        // Its end was confirmed before.
        State::Terminating { .. } => return finish(session, &mut desk, machine, ""),
        _ => {}
    }
    desk.keep(&mut machine, |keeper, machine| keeper.look(machine).map(|_| ()))?;
    if !machine.state.may_be_billed() {
        return finish(session, &mut desk, machine, "");
    }
    let left = left_behind(&desk, &machine, args)?;
    if let Some(digest) = &args.confirm {
        let confirmed =
            desk.keep(&mut machine, |keeper, machine| keeper.confirmed(machine, Action::Terminate, digest))?;
        if confirmed.files != left.digest {
            let what = "the files that are only on the machine have changed since you were asked";
            return Err(CliError::new(ErrorKind::Refused, what).hint("run it without `--confirm` to see them"));
        }
        return finish(session, &mut desk, machine, digest);
    }
    let instance = machine.instance.clone();
    let provider = desk.provider(desk.account(Some(&machine.plan.provider))?)?;
    let proposal = Proposal {
        action: Action::Terminate,
        call: instance.as_ref().map(|id| provider.terminate_call(id)).unwrap_or_default(),
        cost: machine.cost(),
        files: left.digest.clone(),
        discarded: left.files.len() as u64,
        expires_at: later(Timestamp::now(), desk.account(Some(&machine.plan.provider))?.consent),
    };
    let digest = proposal.digest(&machine.plan.key);
    let human = format!(
        "{} ({}, {}) has cost {} so far\ncall: {}\n{}\nNothing has been ended. To end it: stepwell remote terminate {}{} --confirm {digest} (until {})",
        machine.plan.key,
        machine.plan.host_type,
        machine.price,
        machine.cost(),
        proposal.call,
        left.text,
        machine.plan.key,
        if args.discard_unsynced { " --discard-unsynced" } else { "" },
        shown::time(proposal.expires_at)
    );
    let value = json!({
        "machine": shown::machine_json(&machine), "call": proposal.call, "discards": sync::paths(&left.files),
        "digest": digest, "expires_at": proposal.expires_at, "acts": false,
    });
    desk.keep(&mut machine, |keeper, machine| keeper.record(machine, Event::Proposed { proposal }))?;
    session.out.document(&human, value)?;
    Ok(Exit::Ok)
}

/// What would be lost.
struct Left {
    files: Vec<RemoteFile>,
    /// Over the paths: what a confirmation gives up.
    digest: String,
    text: String,
}

fn left_behind(desk: &Desk<'_>, machine: &Machine, args: &TerminateArgs) -> Result<Left, CliError> {
    let none = |text: &str| Left { files: Vec::new(), digest: String::new(), text: text.to_owned() };
    // Without an address nothing was ever started there.
    let Some(shell) = desk.shell(machine)? else { return Ok(none("nothing was copied onto it")) };
    let files = match list_files(&shell, &machine.plan.sync.down) {
        Ok(files) => unsynced(&files, &desk.copies(machine)).map_err(RemoteError::from)?,
        Err(error) if args.discard_unsynced => {
            let why = error_chain(&error);
            let digest = "unreachable".to_owned();
            return Ok(Left { files: Vec::new(), digest, text: format!("its files are given up unseen: {why}") });
        }
        Err(error) => {
            let refused = CliError::new(ErrorKind::Refused, RemoteError::from(error));
            return Err(refused.hint("what it has made is not known; `--discard-unsynced` gives that up"));
        }
    };
    if files.is_empty() {
        return Ok(none("all its files are here"));
    }
    if !args.discard_unsynced {
        let shown = sync::files_text(&files);
        let what =
            format!("{} only on `{}`:\n{}", count(files.len() as u64, "file"), machine.plan.key, shown.trim_end());
        return Err(CliError::new(ErrorKind::Refused, what)
            .hint(format!("`stepwell remote sync {}` copies them", machine.plan.key))
            .hint("`--discard-unsynced` gives them up"));
    }
    let names: Vec<&str> = sync::paths(&files);
    let digest = stepwell_base::artifact::Digest::of(names.join("\0").as_bytes()).as_str().to_owned();
    let text = format!("{}is given up", sync::files_text(&files));
    Ok(Left { files, digest, text })
}

fn finish(session: &Session, desk: &mut Desk<'_>, mut machine: Machine, digest: &str) -> Result<Exit, CliError> {
    if machine.state.may_be_billed() {
        session.out.message(&format!("ending {} ...", machine.plan.key));
        desk.keep(&mut machine, |keeper, machine| keeper.terminate(machine, digest))?;
    }
    let human =
        format!("{} is gone ({}); it has cost {}", machine.plan.key, shown::state_text(&machine), machine.cost());
    session.out.document(&human, json!({ "machine": shown::machine_json(&machine), "acts": true }))?;
    Ok(Exit::Ok)
}
