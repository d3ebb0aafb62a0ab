//! `stepwell artifact get ARTIFACT [DEST]`

use std::path::{Path, PathBuf};

use clap::Args;

use super::selector::{ArtifactSelector, find_output};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::shell;
use stepwell_store::{Reader, Reference, ReferenceHolder};

/// Copy an artifact out of the store
///
/// Verifies every byte. Nothing is overwritten: the destination must not exist.
#[derive(Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    pub selector: ArtifactSelector,
    /// File or folder to create [default: the name of the output, in this folder]
    pub dest: Option<PathBuf>,
    /// File or folder to create
    #[arg(long, short, aliases = ["output-file", "dest", "to", "path", "dir"], value_name = "DEST", hide = true, conflicts_with = "dest")]
    pub out: Option<PathBuf>,
}

impl GetArgs {
    fn dest(&self) -> Option<&PathBuf> {
        self.dest.as_ref().or(self.out.as_ref())
    }
}

pub fn get(session: &Session, args: &GetArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let (found, dest) = chosen(&reader, &args.selector.artifact, args.dest().map(PathBuf::as_path))?;
    // A link counts as existing, even when it leads nowhere.
    if dest.symlink_metadata().is_ok() {
        let error = CliError::usage(format!("{} exists already", dest.display()));
        let other = [&*args.selector.artifact, "DEST"];
        return Err(match args.dest() {
            Some(_) => error.hint("choose a path that does not exist: nothing is overwritten"),
            None => error.hint(format!("{} writes it elsewhere", shell::stepwell("artifact get", other))),
        });
    }
    session.artifacts()?.materialise(&found.artifact, &dest)?;
    session.out.message(&format!("wrote {}", dest.display()));
    Ok(Exit::Ok)
}

/// The output, and where to write it. The second word may be an output of the run that the first one names.
fn chosen(reader: &Reader, artifact: &str, dest: Option<&Path>) -> Result<(Reference, PathBuf), CliError> {
    let error = match (find_output(reader, artifact), dest) {
        (Ok(found), Some(dest)) => return Ok((found, dest.to_owned())),
        (Ok(found), None) => return Ok((found.clone(), default_dest(&found))),
        (Err(error), _) => error,
    };
    let Some((run, name)) =
        dest.and_then(Path::to_str).and_then(|dest| Some((reader.resolve_run(artifact).ok()?, dest)))
    else {
        return Err(error);
    };
    let run = handle(reader, &reader.run(run)?);
    match find_output(reader, &format!("{run}/{name}")) {
        Ok(found) => Ok((found.clone(), default_dest(&found))),
        Err(_) => Err(error),
    }
}

/// The last part of the output's name, in the folder of the process.
fn default_dest(found: &Reference) -> PathBuf {
    let name = match &found.holder {
        ReferenceHolder::Output(name) => name.rsplit('/').find(|part| !matches!(*part, "" | "." | "..")),
        ReferenceHolder::Checkpoint { .. } => None,
    };
    PathBuf::from(name.unwrap_or("artifact"))
}
