//! What `status` notices: idle machines, ended commands, and costs at their maximum.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::sync;
use crate::drive::rented::Desk;
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::duration::later;
use stepwell_remote::{Action, Alert, Event, IdleLimits, Key, Machine, Probe, Proposal, Shell};

/// Time for a command that writes a checkpoint.
const CHECKPOINT: Duration = Duration::from_secs(600);

/// Records what the work does, and reports each finding once.
pub(super) fn work(
    session: &Session,
    desk: &mut Desk<'_>,
    machine: &mut Machine,
    found: Probe,
) -> Result<(), CliError> {
    let key = machine.plan.key.clone();
    let account = desk.account(Some(&machine.plan.provider))?;
    let is_idle = found.exit.is_none() && found.is_idle(IdleLimits { after: account.idle_after });
    let mut events = Vec::new();
    if let Some(code) = found.exit.filter(|code| machine.exit != Some(*code)) {
        events.push(Event::Exited { code });
    }
    for (alert, is_so) in [(Alert::Idle, is_idle), (Alert::Ended, found.exit.is_some())] {
        match (machine.alerts.contains(&alert), is_so) {
            (false, true) => events.push(Event::Alerted { alert }),
            (true, false) => events.push(Event::AlertEnded { alert }),
            _ => {}
        }
    }
    for event in events {
        let said = match &event {
            Event::Alerted { alert: Alert::Idle } => Some((Alert::Idle, "it is idle, and billed".to_owned())),
            Event::Alerted { alert } => {
                let ending = found.ending().unwrap_or_default();
                Some((*alert, format!("its command has ended ({ending}), and the machine is billed")))
            }
            _ => None,
        };
        desk.keep(machine, |keeper, machine| keeper.record(machine, event))?;
        if let Some((alert, said)) = said {
            raise(session, &key, alert, &format!("{said}: `stepwell remote terminate {key}` ends it"));
        }
    }
    Ok(())
}

/// The maximum of the plan is reached: checkpoint, copy back, ask.
pub(super) fn cap(
    session: &Session,
    desk: &mut Desk<'_>,
    machine: &mut Machine,
    shell: Option<&Shell>,
) -> Result<(), CliError> {
    let key = machine.plan.key.clone();
    let text = format!("it has cost {}, its maximum is {}", machine.cost(), machine.plan.maximum_cost);
    raise(session, &key, Alert::Cap, &text);
    if let Some(shell) = shell {
        if let Some(command) = &machine.plan.checkpoint {
            let script = format!("cd {} && {command}", stepwell_remote::WORK_DIR);
            match shell.run(&script, b"", 1 << 20, CHECKPOINT) {
                Ok(_) => session.out.message(&format!("{key}: a checkpoint is written")),
                Err(error) => session.out.message(&format!("warning: {key}: no checkpoint: {error}")),
            }
        }
        match sync::copy_back(desk, machine, shell) {
            Ok((files, _)) => session.out.message(&format!("{key}: {files} files were copied here")),
            Err(error) => {
                session.out.message(&format!("warning: {key}: not all files were copied: {}", error.message()))
            }
        }
    }
    desk.keep(machine, |keeper, machine| keeper.record(machine, Event::Alerted { alert: Alert::Cap }))?;
    let account = desk.account(Some(&machine.plan.provider))?;
    let provider = desk.provider(account)?;
    let Some(instance) = machine.instance.clone() else { return Ok(()) };
    let proposal = Proposal {
        action: Action::Terminate,
        call: provider.terminate_call(&instance),
        cost: machine.cost(),
        files: String::new(),
        discarded: 0,
        expires_at: later(jiff::Timestamp::now(), account.consent),
    };
    let digest = proposal.digest(&key);
    desk.keep(machine, |keeper, machine| keeper.record(machine, Event::Proposed { proposal }))?;
    session.out.message(&format!("it is billed on; to end it: stepwell remote terminate {key} --confirm {digest}"));
    Ok(())
}

/// Tells a person, and starts the program of `[alerts]`.
fn raise(session: &Session, key: &Key, alert: Alert, message: &str) {
    session.out.message(&format!("alert: {key}: {message}"));
    let Some((program, arguments)) = session.settings.alert_command.value.split_first() else { return };
    let started = Command::new(program)
        .args(arguments)
        .env("STEPWELL_MACHINE", key.as_str())
        .env("STEPWELL_ALERT", alert.as_str())
        .env("STEPWELL_ALERT_MESSAGE", message)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match started {
        Ok(status) if status.success() => {}
        Ok(status) => session.out.message(&format!("warning: the alert command `{program}` failed: {status}")),
        Err(error) => {
            session.out.message(&format!("warning: the alert command `{program}` cannot be started: {error}"))
        }
    }
}
