//! `stepwell note RUN [TEXT]`

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::remark::Note;
use stepwell_store::{Remark, Store};

/// Write a note about a run, or print it
///
/// `show` prints the note too. A new note replaces the old one.
#[derive(Args, Debug)]
pub struct NoteArgs {
    /// Id, unique start of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The note: at most 4 KiB, in any number of lines
    #[arg(value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "clear")]
    pub text: Option<Note>,
    /// Remove the note
    #[arg(long, aliases = ["delete", "remove", "rm"])]
    pub clear: bool,
}

pub fn note(session: &Session, args: &NoteArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let name = reader.run(id)?.name;
    let remark = match &args.text {
        Some(text) => Some(Remark::Note(text.clone())),
        None => args.clear.then_some(Remark::NoNote),
    };
    let note = match remark {
        Some(remark) => {
            drop(reader);
            Store::open(session.state_dir())?.remark(id, &remark, Timestamp::now())?.note
        }
        None => reader.annotation(id)?.note,
    };
    let human = match (&args.text, &note) {
        (Some(_), _) => format!("run {id} ({name}) has this note now"),
        (None, Some(note)) => note.as_str().to_owned(),
        (None, None) => format!("run {id} ({name}) has no note"),
    };
    let value = json!({ "run": { "id": id, "name": name }, "note": note.as_ref().map(Note::as_str) });
    session.out.document(&human, value)?;
    Ok(Exit::Ok)
}
