//! `stepwell artifact get ARTIFACT DEST`

use std::path::PathBuf;

use clap::Args;

use super::selector::{ArtifactSelector, find};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Copy an artifact out of the store
///
/// Verifies every byte. Nothing is overwritten: the destination must not exist.
#[derive(Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    pub selector: ArtifactSelector,
    /// File or folder to create
    pub dest: PathBuf,
}

pub fn get(session: &Session, args: &GetArgs) -> Result<Exit, CliError> {
    let (found, dest) = (find(session, &args.selector)?, &args.dest);
    // A link counts as existing, even when it leads nowhere.
    if dest.symlink_metadata().is_ok() {
        return Err(CliError::usage(format!("{} exists already", dest.display()))
            .hint("choose a path that does not exist: nothing is overwritten"));
    }
    session.artifacts()?.materialise(&found, dest)?;
    session.out.message(&format!("wrote {}", dest.display()));
    Ok(Exit::Ok)
}
