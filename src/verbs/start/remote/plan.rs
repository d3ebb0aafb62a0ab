//! `stepwell remote plan`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::shown;
use crate::drive::rented::Desk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::duration::{self, later};
use stepwell_base::shell;
use stepwell_remote::{
    Cents, Key, LaunchRequest, Plan, Preflight, RemoteError, SyncList, Upload, Wanted, is_inside, preflight, upload,
};

/// Files that are copied onto a machine; more belong in an archive.
const MOST_FILES: usize = 1000;
/// Bytes of one of them: it is read as a whole.
const LARGEST: u64 = 4 << 30;
/// Time for one command of the preflight.
const PREFLIGHT: Duration = Duration::from_secs(600);
/// The log of the command, which always comes back.
const LOG: &str = "run.log";

/// Print what a machine would cost and do, with a digest to confirm
///
/// Asks the provider for its price and checks this machine first: `--preflight` runs commands here, such as
/// `python -c "import torch"`, before money is spent.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Name of `[remote.NAME]` in the settings [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Kind of machine, as the provider calls it
    #[arg(long = "type", value_name = "TYPE")]
    pub host_type: Option<String>,
    /// Place of the machine, as the provider calls it
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Container image, for providers that have them
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Copy a file onto the machine before the command starts (repeatable)
    #[arg(long, value_name = "FILE[=TO]")]
    pub up: Vec<String>,
    /// Copy a file or folder back; the machine is not terminated without it (repeatable)
    #[arg(long, value_name = "PATH")]
    pub down: Vec<String>,
    /// Time that the work will take, such as `2h`
    #[arg(long, value_name = "TIME")]
    pub estimate: Option<String>,
    /// Cost in dollars at which the work writes a checkpoint, files are copied back, and you are asked
    #[arg(long, value_name = "DOLLARS")]
    pub maximum_cost: Option<Cents>,
    /// Command on the machine that makes the work write a checkpoint
    #[arg(long, value_name = "COMMAND")]
    pub checkpoint: Option<String>,
    /// Command that must succeed here before anything is launched (repeatable)
    #[arg(long, value_name = "COMMAND", conflicts_with = "skip_preflight")]
    pub preflight: Vec<String>,
    /// Launch without a preflight
    #[arg(long)]
    pub skip_preflight: bool,
    /// Command that the machine runs
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub fn plan(session: &Session, args: &PlanArgs) -> Result<Exit, CliError> {
    let mut desk = Desk::open(session)?;
    let account = desk.account(args.provider.as_deref())?;
    let host_type = required(args.host_type.as_deref(), "--type", "--type gpu_1x_a10")?;
    let estimate = required(args.estimate.as_deref(), "--estimate", "--estimate 2h")?;
    let estimate = duration::parse(estimate)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| CliError::usage(format!("`{estimate}` is no time")).hint("write it like `--estimate 1h30m`"))?;
    let command = command(&args.command)?;
    let sync = SyncList { up: uploads(&args.up)?, down: downs(&args.down)? };
    let preflight = checked(session, args)?;
    let provider = desk.provider(account)?;
    let wanted = Wanted { host_type, region: args.region.as_deref() };
    let price = provider.price(wanted).map_err(RemoteError::from)?.value;
    let estimated_cost = price.of(estimate);
    let now = Timestamp::now();
    let plan = Plan {
        schema: 1,
        key: Key::random(),
        provider: account.name.clone(),
        host_type: host_type.to_owned(),
        region: args.region.clone(),
        image: args.image.clone(),
        command,
        checkpoint: args.checkpoint.clone(),
        price,
        estimated_ms: u64::try_from(estimate.as_millis()).unwrap_or(u64::MAX),
        estimated_cost,
        // Half more than expected: enough for bad luck, not for a forgotten machine.
        maximum_cost: args.maximum_cost.unwrap_or(Cents(estimated_cost.0.saturating_mul(3).div_ceil(2))),
        sync,
        preflight,
        created_at: now,
        expires_at: later(now, account.consent),
    };
    if plan.maximum_cost < plan.estimated_cost {
        let what = format!("the maximum of {} is below the estimate of {estimated_cost}", plan.maximum_cost);
        return Err(CliError::usage(what).hint("raise `--maximum-cost`, or plan less"));
    }
    let request = LaunchRequest { name: &plan.key, wanted, image: plan.image.as_deref(), price };
    let call = provider.launch_call(request);
    desk.plan(&plan)?;
    let digest = plan.digest();
    let human = format!(
        "{}\nNothing has been launched. To launch it: stepwell remote launch --confirm {digest}",
        shown::plan_text(&plan, &call)
    );
    session.out.document(&human, json!({ "plan": plan, "digest": digest, "call": call, "acts": false }))?;
    Ok(Exit::Ok)
}

fn required<'a>(value: Option<&'a str>, name: &str, example: &str) -> Result<&'a str, CliError> {
    value
        .filter(|value| !value.is_empty() && value.len() <= 256)
        .ok_or_else(|| CliError::usage(format!("a plan needs `{name}`")).hint(format!("write it like `{example}`")))
}

fn command(words: &[String]) -> Result<String, CliError> {
    let command = match words {
        [] => String::new(),
        // A single word is a shell command already.
        [only] => only.clone(),
        words => words.iter().map(shell::quote).collect::<Vec<_>>().join(" "),
    };
    if command.trim().is_empty() || command.contains('\0') {
        return Err(CliError::usage("a plan needs the command that the machine runs")
            .hint("write it at the end: `-- python train.py`"));
    }
    Ok(command)
}

fn uploads(given: &[String]) -> Result<Vec<Upload>, CliError> {
    if given.len() > MOST_FILES {
        return Err(CliError::usage(format!("there are more than {MOST_FILES} files to copy")).hint("pack them"));
    }
    let mut uploads: Vec<Upload> = Vec::new();
    for text in given {
        let (from, to) = text.split_once('=').unwrap_or((text, ""));
        let from = PathBuf::from(from);
        let name = || from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = if to.is_empty() { name() } else { to.to_owned() };
        if !is_inside(&to) || uploads.iter().any(|upload| upload.to == to) {
            return Err(CliError::usage(format!("`{to}` cannot be the name of a file on the machine"))
                .hint("use a relative path without `..`, once: `--up data.txt=in/data.txt`"));
        }
        check_file(&from)?;
        uploads.push(upload(&from, &to).map_err(RemoteError::from)?);
    }
    Ok(uploads)
}

fn check_file(path: &Path) -> Result<(), CliError> {
    let found = std::fs::metadata(path).map_err(|error| CliError::io("read", path, error))?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(CliError::usage(format!("`{}` is no file of at most 4 GiB", path.display()))
            .hint("pack a folder, or let the machine download large data"));
    }
    Ok(())
}

fn downs(given: &[String]) -> Result<Vec<String>, CliError> {
    let mut downs = vec![LOG.to_owned()];
    for path in given {
        if !is_inside(path) {
            return Err(CliError::usage(format!("`{path}` is no path below the machine's work folder"))
                .hint("use a relative path without `..`"));
        }
        if !downs.contains(path) {
            downs.push(path.clone());
        }
    }
    Ok(downs)
}

fn checked(session: &Session, args: &PlanArgs) -> Result<Preflight, CliError> {
    if args.skip_preflight {
        return Ok(Preflight::Skipped);
    }
    if args.preflight.is_empty() {
        return Err(CliError::usage("a plan needs a preflight: what fails here fails there, and costs money")
            .hint("for example `--preflight 'python -c \"import torch\"'`, or say `--skip-preflight`"));
    }
    session.out.message("checking this machine before money is spent ...");
    preflight(&args.preflight, PREFLIGHT)?;
    Ok(Preflight::Passed { commands: args.preflight.clone() })
}
