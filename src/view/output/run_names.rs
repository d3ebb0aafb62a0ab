//! Replaces ids of runs by their names in text for people.

use std::path::Path;

use stepwell_base::ids::RunId;
use stepwell_base::shell::quote;
use stepwell_store::Reader;

use crate::view::run_handle::handle;

/// Characters of an id.
const LENGTH: usize = 36;

/// Names runs in the commands that `text` suggests, and behind the word `run`. An id stays where a name follows it, and
/// where the name means another run.
pub fn with_names(text: &str, state_dir: &Path) -> String {
    let mut reader = None;
    named(text, |id| {
        let reader = reader.get_or_insert_with(|| Reader::open(state_dir)).as_ref().ok()?;
        let name = handle(reader, &reader.run(id).ok()?);
        (name != id.to_string()).then_some(name)
    })
}

fn named(text: &str, mut name_of: impl FnMut(RunId) -> Option<String>) -> String {
    let mut full = String::with_capacity(text.len());
    let mut done = 0;
    let mut at = 0;
    while let Some(dash) = text[at..].find('-').map(|dash| at + dash) {
        at = dash + 1;
        // The first dash of an id is its ninth character.
        let Some(start) = dash.checked_sub(8).filter(|start| *start >= done) else { continue };
        let Some(id) = text.get(start..start + LENGTH) else { continue };
        let Some(place) = place(text, start) else { continue };
        let Some(name) = id.parse().ok().and_then(&mut name_of) else { continue };
        full.push_str(&text[done..start]);
        match place {
            Place::Command => full.push_str(&quote(&name)),
            Place::Sentence => full.push_str(&name),
        }
        done = start + LENGTH;
        at = done;
    }
    full.push_str(&text[done..]);
    full
}

enum Place {
    /// A word of a command.
    Command,
    /// Behind the word `run`.
    Sentence,
}

/// The place of an id that starts at `start`, if a name can stand there.
fn place(text: &str, start: usize) -> Option<Place> {
    let (before, behind) = (&text[..start], text[start..].get(LENGTH..)?);
    let is_word = behind.chars().next().is_none_or(|next| !next.is_alphanumeric());
    let command = before.rfind("`stepwell ").filter(|at| !before[at + 1..].contains('`'));
    match (command, is_word) {
        // The id may be the start of an artifact's name.
        (Some(_), true) if before.ends_with(' ') => Some(Place::Command),
        (None, true) if before.ends_with("run ") && !behind.starts_with(" (") => Some(Place::Sentence),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a22ad7-3f0d-7097-a15c-630001d33547";

    #[test]
    fn commands_and_sentences_name_the_run() {
        let name = |text: &str| named(&text.replace("ID", ID), |_| Some("my run".to_owned()));
        for (text, expected) in [
            ("`stepwell show ID` or `stepwell cancel ID`", "`stepwell show 'my run'` or `stepwell cancel 'my run'`"),
            ("`stepwell artifact show ID/train/model`", "`stepwell artifact show 'my run'/train/model`"),
            ("run ID has no step", "run my run has no step"),
            ("held by run ID, step train; run ID", "held by run my run, step train; run my run"),
        ] {
            assert_eq!(name(text), expected);
        }
        for text in ["run ID (base) is canceled", "run       ID", "`x` matches 2 runs: ID, ID", "`rm ID`", "aID-b", "-"]
        {
            assert_eq!(name(text), text.replace("ID", ID));
        }
        let unknown = format!("`stepwell show {ID}`");
        assert_eq!(named(&unknown, |_| None), unknown);
        assert_eq!(
            named("é-run 01a22ad7-3f0d-7097-a15c-é", |_| Some("x".to_owned())),
            "é-run 01a22ad7-3f0d-7097-a15c-é"
        );
    }
}
