//! `stepwell approve RUN [STEP]`: a person's decision.

#[cfg(test)]
mod tests;

use clap::Args;
use serde_json::json;

use crate::drive::mistakes::Words;
use crate::drive::queue::driver::undriven;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle;
use crate::view::value_text::cut;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_engine::{self, Asked};
use stepwell_run::event::{Verdict, Wait};
use stepwell_run::request::Request;
use stepwell_store::{Reader, WaitRow};

/// Most waiting steps that an error names.
const MOST_NAMED: usize = 8;
/// Most characters of a question.
const PROMPT_CHARACTERS: usize = 80;

/// Answer a step that waits for a person
///
/// The step succeeds, or fails with `--reject`. Without STEP, answers the only step that waits. No engine has to be
/// running.
#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// Id, unique prefix of an id, name, or `last`; without it, prints what can be answered
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The step that waits [default: the only one]
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Reject: the step fails
    #[arg(long, aliases = ["no", "deny"])]
    pub reject: bool,
    /// Approve, which is the default
    #[arg(long, short = 'y', alias = "approve", hide = true, conflicts_with = "reject")]
    pub yes: bool,
    /// Name of the person who decides [default: the user name]
    #[arg(long, aliases = ["user", "as", "approver"], value_name = "NAME", allow_hyphen_values = true)]
    pub by: Option<String>,
    /// Comment, kept with the decision
    #[arg(long, short_alias = 'm', aliases = ["message", "reason", "note"], value_name = "TEXT", allow_hyphen_values = true)]
    pub comment: Option<String>,
}

pub fn approve(session: &Session, args: &ApproveArgs) -> Result<Exit, CliError> {
    let Some(run) = &args.run else { return Err(unnamed(&session.reader()?)?) };
    let words = Words { verb: "approve", run, step: args.step.as_deref() };
    let (reader, asked, step) = words.find_kept(session)?;
    let (id, step) = match step {
        Some(step) => (asked, step),
        None => only_waiting(&reader, asked)?,
    };
    let name = reader.run(id)?.name;
    let verdict = if args.reject { Verdict::Rejected } else { Verdict::Approved };
    let approver = args.by.clone().unwrap_or_else(user_name);
    let request =
        Request::Decide { step: step.clone(), verdict, approver: approver.clone(), comment: args.comment.clone() };
    match stepwell_engine::ask(session.state_dir(), id, &request)? {
        Asked::Done => {
            let human = format!("step `{step}` of run {id} ({name}) is {} by {approver}", verdict.as_str());
            let run = json!({ "id": id, "name": name });
            let fields =
                json!({ "run": run, "step": step, "verdict": verdict, "approver": approver, "comment": args.comment });
            session.out.document(&human, fields)?;
            say_if_undriven(session, &reader, asked);
            Ok(Exit::Ok)
        }
        Asked::Refused(why) => Err(CliError::usage(why).hint("`stepwell list` shows what runs wait for")),
        Asked::Unanswered => Err(unanswered()),
    }
}

/// Finds the only step of a run, or of the child runs that it waits for, that waits for a person.
fn only_waiting(reader: &Reader, run: RunId) -> Result<(RunId, StepId), CliError> {
    let waits = reader.waits()?;
    let (mut open, mut found, mut others) = (vec![run], Vec::new(), Vec::new());
    while let Some(run) = open.pop() {
        for WaitRow { step, wait, .. } in waits.iter().filter(|row| row.run == run) {
            match wait {
                Wait::Approval { .. } => found.push((run, step.clone())),
                Wait::Run { run: child } => open.push(*child),
                Wait::Signal { name } => others.push((run, name)),
            }
        }
    }
    let approve = |(run, step): &(RunId, StepId)| shell::stepwell("approve", [&*run.to_string(), step.as_str()]);
    match (found.as_slice(), others.as_slice()) {
        ([one], _) => Ok(one.clone()),
        ([], [(run, signal), ..]) => Err(CliError::usage(format!("no step of run {run} waits for a person"))
            .hint(format!("one waits for a signal: {}", shell::stepwell("signal", [&*run.to_string(), signal])))),
        ([], []) => Err(CliError::usage(format!("no step of run {run} waits for a person"))
            .hint(format!("{} says what its steps wait for", shell::stepwell("explain", [&*run.to_string()])))),
        (many, _) => {
            let more = if many.len() > MOST_NAMED { ", ..." } else { "" };
            let commands: Vec<String> = many.iter().take(MOST_NAMED).map(approve).collect();
            Err(CliError::usage(format!("{} steps of run {run} wait for a person", many.len()))
                .hint(format!("name one: {}{more}", commands.join(", "))))
        }
    }
}

/// Names the steps that wait for a person: an answer has to say to which it is one.
fn unnamed(reader: &Reader) -> Result<CliError, CliError> {
    let mut hints = Vec::new();
    for WaitRow { run, step, wait } in reader.waits()? {
        let Wait::Approval { prompt, .. } = wait else { continue };
        let name = handle(reader, &reader.run(run)?);
        let prompt = cut(&prompt, PROMPT_CHARACTERS);
        hints.push(format!("{} answers: {prompt}", shell::stepwell("approve", [&*name, step.as_str()])));
    }
    Ok(match hints.len() {
        0 => CliError::usage("no step waits for a person").hint("`stepwell list` shows what runs wait for"),
        count => {
            hints.truncate(MOST_NAMED);
            let steps = if count == 1 { "1 step waits" } else { &format!("{count} steps wait") };
            CliError::usage(format!("{steps} for a person: name the run")).hints(hints)
        }
    })
}

/// Says how to continue a run that nobody drives.
pub fn say_if_undriven(session: &Session, reader: &Reader, run: RunId) {
    if let Some(text) = undriven(session, reader, run) {
        session.out.message(&text);
    }
}

/// The error for an engine that has not answered in time.
pub fn unanswered() -> CliError {
    CliError::failed("the engine is busy and has not answered").hint("the request is kept: it is answered later")
}

fn user_name() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
