//! `stepwell remote status`

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{alerts, shown};
use crate::drive::rented::Desk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;
use stepwell_remote::{Alert, Look, Machine, State, probe};

/// Between two rounds of `--watch`.
const ROUND: Duration = Duration::from_secs(30);

/// Ask the providers for all machines that may cost money, and show what they have cost
///
/// Finds a machine again whose launch was interrupted. Reports one that is idle, one whose command has ended, and one that has
/// reached its maximum: that one writes a checkpoint, its files are copied here, and you are asked for its end. It never
/// launches or ends anything.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Key of a machine, or its first digits; without it, all that may cost money
    #[arg(value_name = "MACHINE")]
    pub machine: Option<String>,
    /// Also show plans, and machines that are gone
    #[arg(long, conflicts_with = "machine")]
    pub all: bool,
    /// Ask again every 30 seconds until no machine is left
    #[arg(long, conflicts_with = "all")]
    pub watch: bool,
}

pub fn status(session: &Session, args: &StatusArgs) -> Result<Exit, CliError> {
    let mut desk = Desk::open(session)?;
    loop {
        let mut machines = match &args.machine {
            Some(selector) => vec![desk.find(selector)?],
            None if args.all => desk.all()?,
            None => desk.billed()?,
        };
        for machine in machines.iter_mut().filter(|machine| machine.state.may_be_billed()) {
            if let Err(error) = round(session, &mut desk, machine) {
                // One machine must not hide the others.
                session.out.message(&format!("warning: {}: {}", machine.plan.key, error.message()));
            }
        }
        print(session, &machines)?;
        if !args.watch || machines.iter().all(|machine| !machine.state.may_be_billed()) {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(ROUND);
    }
}

fn round(session: &Session, desk: &mut Desk<'_>, machine: &mut Machine) -> Result<(), CliError> {
    let look = desk.keep(machine, |keeper, machine| keeper.look(machine))?;
    if let Look::Unknown(why) = &look {
        session.out.message(&format!("warning: {} could not be asked for: {why}", machine.plan.key));
    }
    let shell = desk.shell(machine)?.filter(|_| machine.state == State::Running && machine.started);
    if let Some(shell) = &shell {
        match probe(shell) {
            Ok(found) => alerts::work(session, desk, machine, found)?,
            Err(error) => session.out.message(&format!("warning: {}: {error}", machine.plan.key)),
        }
    }
    if machine.cost() >= machine.plan.maximum_cost && !machine.alerts.contains(&Alert::Cap) && is_up(machine) {
        alerts::cap(session, desk, machine, shell.as_ref())?;
    }
    Ok(())
}

fn is_up(machine: &Machine) -> bool {
    machine.state.may_be_billed() && !matches!(machine.state, State::Terminating { .. } | State::Intent)
}

fn print(session: &Session, machines: &[Machine]) -> Result<(), CliError> {
    let cells = |machine: &Machine| {
        vec![
            machine.plan.key.to_string(),
            machine.plan.provider.clone(),
            machine.plan.host_type.clone(),
            shown::state_text(machine),
            machine.price.to_string(),
            machine.cost().to_string(),
            machine.plan.maximum_cost.to_string(),
        ]
    };
    let human = match machines.is_empty() {
        true => "no machine may cost money".to_owned(),
        false => {
            let header = ["machine", "provider", "type", "state", "price", "cost", "maximum"];
            table(&header, machines.iter().map(cells).collect())
        }
    };
    let values: Vec<Value> = machines.iter().map(shown::machine_json).collect();
    session.out.document(&human, json!({ "machines": values }))
}
