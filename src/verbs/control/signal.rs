//! `stepwell signal RUN NAME`

use clap::Args;
use serde_json::{Value, json};

use super::approve::{say_if_undriven, unanswered};
use crate::arguments::label;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::json::{self, JsonError, Limit};
use stepwell_base::shell;
use stepwell_engine::{self, Asked};
use stepwell_run::request::Request;

/// Send a signal to a run, for a step that waits for it now or later
///
/// A signal is kept until a step takes it. No engine has to be running.
#[derive(Args, Debug)]
pub struct SignalArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Name of the signal
    #[arg(value_name = "NAME", value_parser = label)]
    pub name: String,
    /// Value that the waiting step passes to other steps as `values.payload`
    #[arg(long, aliases = ["data", "value"], value_name = "JSON", default_value = "null", value_parser = payload, allow_hyphen_values = true)]
    pub payload: Value,
}

pub fn signal(session: &Session, args: &SignalArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let run = reader.run(id)?.name;
    let SignalArgs { name, payload, run: selector } = args;
    let request = Request::Signal { name: name.clone(), payload: payload.clone() };
    match stepwell_engine::ask(session.state_dir(), id, &request)? {
        Asked::Done => {
            let fields = json!({ "run": { "id": id, "name": run }, "signal": { "name": name, "payload": payload } });
            session.out.document(&format!("run {id} ({run}) has the signal `{name}`"), fields)?;
            say_if_undriven(session, &reader, id);
            Ok(Exit::Ok)
        }
        Asked::Refused(why) => Err(CliError::usage(format!("run {id} ({run}) takes no signal: {why}"))
            .hint(format!("{} tells its state", shell::stepwell("show", [&**selector])))),
        Asked::Unanswered => Err(unanswered()),
    }
}

fn payload(text: &str) -> Result<Value, String> {
    json::parse(text.as_bytes(), Limit::PAYLOAD).map_err(|error| match error {
        JsonError::Syntax(error) => format!("{error}; text needs quotes of its own: '\"yes\"'"),
        limit => format!("{limit}; write it to a file, and send the name of that"),
    })
}
