//! `stepwell config show [--origin]`

use serde_json::{Map, json};

use super::error::CliError;
use super::exit_code::Exit;
use super::output::table;
use super::session::Session;

pub fn show(session: &Session, origin: bool) -> Result<Exit, CliError> {
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
