//! `stepwell signal RUN NAME`

use serde_json::json;

use super::approve::unanswered;
use super::args::SignalArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use stepwell_base::shell;
use stepwell_engine::{self, Asked};
use stepwell_run::request::Request;

pub fn signal(session: &Session, args: SignalArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let run = reader.run(id)?.name;
    drop(reader);
    let SignalArgs { name, payload, run: selector } = args;
    let request = Request::Signal { name: name.clone(), payload: payload.clone() };
    match stepwell_engine::ask(session.state_dir(), id, &request)? {
        Asked::Done => {
            let fields = json!({ "run": { "id": id, "name": run }, "signal": { "name": name, "payload": payload } });
            session.out.document(&format!("run {id} ({run}) has the signal `{name}`"), fields)?;
            Ok(Exit::Ok)
        }
        Asked::Refused(why) => Err(CliError::usage(format!("run {id} ({run}) takes no signal: {why}"))
            .hint(format!("{} tells its state", shell::stepwell("show", [&*selector])))),
        Asked::Unanswered => Err(unanswered()),
    }
}
