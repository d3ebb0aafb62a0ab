//! `stepwell approve RUN STEP`: a person's decision.

use clap::Args;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_engine::{self, Asked};
use stepwell_run::event::Verdict;
use stepwell_run::request::Request;

/// Answer a step that waits for a person
///
/// The step succeeds, or fails with `--reject`. No engine has to be running.
#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The step that waits
    #[arg(value_name = "STEP")]
    pub step: String,
    /// Reject: the step fails
    #[arg(long)]
    pub reject: bool,
    /// Name of the person who decides [default: the user name]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub by: Option<String>,
    /// Comment, kept with the decision
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub comment: Option<String>,
}

pub fn approve(session: &Session, args: &ApproveArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let name = reader.run(id)?.name;
    let step = reader.resolve_step(id, &args.step)?;
    drop(reader);
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
            Ok(Exit::Ok)
        }
        Asked::Refused(why) => Err(CliError::usage(why).hint("`stepwell list` shows what runs wait for")),
        Asked::Unanswered => Err(unanswered()),
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
