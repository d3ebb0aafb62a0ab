//! `stepwell config show [--origin]`

use clap::Subcommand;
use serde_json::{Map, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;

/// Show settings
///
/// From strongest to weakest: flags, `STEPWELL_*` variables, `stepwell.toml`, the user's configuration file, defaults.
#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Print the settings in force
    Show {
        /// Also print the origin of each setting
        #[arg(long)]
        origin: bool,
    },
}

pub fn config(session: &Session, verb: &ConfigVerb) -> Result<Exit, CliError> {
    match verb {
        ConfigVerb::Show { origin } => show(session, *origin),
    }
}

fn show(session: &Session, origin: bool) -> Result<Exit, CliError> {
    let rows = session.settings.rows();
    let mut fields = Map::new();
    for row in &rows {
        fields.insert(row.name.to_owned(), json!({ "value": row.value, "origin": row.origin.to_string() }));
    }
    let lines = rows.into_iter().map(|row| {
        let mut cells = vec![row.name.to_owned(), row.value];
        if origin {
            cells.push(row.origin.to_string());
        }
        cells
    });
    let header: &[&str] = if origin { &["setting", "value", "origin"] } else { &["setting", "value"] };
    session.out.document(&table(header, lines.collect()), json!({ "settings": fields }))?;
    Ok(Exit::Ok)
}
