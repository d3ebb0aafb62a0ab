//! `stepwell artifact ls|show|get|verify|provenance`

mod get;
mod ls;
mod provenance;
mod selector;
mod show;
mod verify;

use clap::Subcommand;

pub use selector::find_output;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Inspect, verify and copy out what runs produced
///
/// Every output of a step is an artifact: a file or a folder, stored once under the digest of its content.
#[derive(Subcommand, Debug)]
pub enum ArtifactVerb {
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    Get(get::GetArgs),
    Verify(verify::VerifyArgs),
    Provenance(provenance::ProvenanceArgs),
}

pub fn artifact(session: &Session, verb: &ArtifactVerb) -> Result<Exit, CliError> {
    match verb {
        ArtifactVerb::Ls(args) => ls::ls(session, args),
        ArtifactVerb::Show(args) => show::show(session, args),
        ArtifactVerb::Get(args) => get::get(session, args),
        ArtifactVerb::Verify(args) => verify::verify(session, args),
        ArtifactVerb::Provenance(args) => provenance::provenance(session, args),
    }
}
