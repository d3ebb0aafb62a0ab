//! `stepwell remote launch`

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::{plan, shown};
use crate::drive::rented::Desk;
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_remote::{Event, RemoteError, Shell, ShellError, State, push, start_command};

/// Launch a machine whose plan you confirm; without `--confirm`, the same as `plan`
///
/// Copies the files of the plan onto the machine and starts its command, which outlives the connection. Repeated after an
/// interruption, it finds the machine by its name: a digest launches one machine, ever.
#[derive(Args, Debug)]
pub struct LaunchArgs {
    /// Digest of the plan
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["provider", "host_type", "region", "image", "up", "down", "estimate", "maximum_cost", "checkpoint", "preflight", "skip_preflight", "command"])]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub plan: plan::PlanArgs,
}

pub fn launch(session: &Session, args: &LaunchArgs) -> Result<Exit, CliError> {
    let Some(digest) = &args.confirm else { return plan::plan(session, &args.plan) };
    let mut desk = Desk::open(session)?;
    let mut machine = desk.planned_as(digest)?;
    if let State::Gone { .. } = machine.state {
        let what = format!("the machine of the plan `{digest}` is gone: {}", shown::state_text(&machine));
        return Err(CliError::failed(what).hint("make a new plan with `stepwell remote plan`"));
    }
    if let State::Terminating { .. } = machine.state {
        let what = format!("`{}` is being terminated", machine.plan.key);
        return Err(CliError::new(ErrorKind::Refused, what).hint("make a new plan with `stepwell remote plan`"));
    }
    session.out.message(&format!("launching {} ({}) ...", machine.plan.key, machine.plan.host_type));
    desk.keep(&mut machine, |keeper, machine| keeper.launch(machine))?;
    if let Some(shell) = desk.shell(&machine)? {
        let limits = desk.account(Some(&machine.plan.provider))?;
        wait_for_shell(&shell, limits.boot_timeout, limits.poll)?;
        let plan = machine.plan.clone();
        push(&shell, &plan.sync.up).map_err(RemoteError::from)?;
        start_command(&shell, &plan.command).map_err(RemoteError::from)?;
        if !machine.started {
            desk.keep(&mut machine, |keeper, machine| keeper.record(machine, Event::Started))?;
        }
    }
    let human = format!(
        "{} runs `{}` at {} (maximum {})\n`stepwell remote status --watch` shows its cost; `stepwell remote terminate {}` ends it",
        machine.plan.key, machine.plan.command, machine.price, machine.plan.maximum_cost, machine.plan.key
    );
    session.out.document(&human, json!({ "machine": shown::machine_json(&machine) }))?;
    Ok(Exit::Ok)
}

/// A machine that runs may not answer `ssh` yet.
fn wait_for_shell(shell: &Shell, limit: Duration, pause: Duration) -> Result<(), CliError> {
    let until = Instant::now() + limit;
    loop {
        match shell.run("true", b"", 1 << 10, Duration::from_secs(60)) {
            Ok(_) => return Ok(()),
            Err(ShellError::Unreachable(_) | ShellError::Silent(_)) if Instant::now() < until => {
                thread::sleep(pause);
            }
            Err(error) => return Err(RemoteError::from(error).into()),
        }
    }
}
