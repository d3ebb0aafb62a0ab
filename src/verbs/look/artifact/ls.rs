//! `stepwell artifact ls [RUN]`

use clap::Args;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::{bytes, table};
use crate::view::run_handle::handle;

/// List the artifacts of a run
///
/// The first column is the name that the other verbs take.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
}

pub fn ls(session: &Session, args: &LsArgs) -> Result<Exit, CliError> {
    let (reader, run) = session.find_kept_run(&args.run)?;
    let artifacts = reader.artifacts(Some(run))?;
    let run = handle(&reader, &reader.run(run)?);
    let rows = artifacts
        .iter()
        .map(|(step, name, artifact)| {
            vec![
                format!("{run}/{step}/{name}"),
                artifact.digest.as_str()[..16].to_owned(),
                bytes(artifact.size),
                artifact.media_type.clone(),
            ]
        })
        .collect();
    let values: Vec<Value> = artifacts
        .iter()
        .map(|(step, name, artifact)| json!({ "step": step, "name": name, "artifact": artifact }))
        .collect();
    session.out.document(&table(&["artifact", "digest", "size", "type"], rows), json!({ "artifacts": values }))?;
    Ok(Exit::Ok)
}
