//! `stepwell db check`

use serde_json::json;

use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use crate::store;

pub fn check(session: &Session) -> Result<Exit, CliError> {
    let problems = store::check(session.state_dir())?;
    let problems: Vec<String> = problems.iter().map(|problem| format!("{} ({})", problem.what, problem.hint)).collect();
    let human = if problems.is_empty() { "the state database is sound".to_owned() } else { problems.join("\n") };
    session.out.document(&human, json!({ "sound": problems.is_empty(), "problems": problems }))?;
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed })
}
