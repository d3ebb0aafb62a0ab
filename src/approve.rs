//! `stepwell approve RUN STEP`: a person's decision.

use serde_json::json;

use super::args::ApproveArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use stepwell_base::ids::StepId;
use stepwell_engine::{self, Asked};
use stepwell_run::event::Verdict;
use stepwell_run::request::Request;

pub fn approve(session: &Session, args: &ApproveArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let name = reader.run(id)?.name;
    let step = StepId::from(args.step.as_str());
    reader.step(id, &step)?;
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
