//! `stepwell artifact show ARTIFACT`

use clap::Args;
use serde_json::json;

use super::selector::{ArtifactSelector, find};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::{bytes, table};
use stepwell_base::shell;

/// Most bytes of a text artifact that `show` prints.
const PREVIEW_BYTES: u64 = 2048;

/// Show the content of an artifact
///
/// Prints the start of a text, or the files of a folder. `artifact get` copies all of it.
#[derive(Args, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    pub selector: ArtifactSelector,
}

pub fn show(session: &Session, args: &ShowArgs) -> Result<Exit, CliError> {
    let artifact = find(session, &args.selector)?;
    let store = session.artifacts()?;
    let mut text = format!("digest  {}\nsize    {}\ntype    {}\n", artifact.digest, artifact.size, artifact.media_type);
    let (mut entries, mut content) = (Vec::new(), None);
    if artifact.is_tree() {
        let tree = store.read_tree(&artifact)?;
        let rows = tree
            .entries
            .iter()
            .map(|(path, entry)| vec![path.clone(), entry.digest.as_str()[..16].to_owned(), bytes(entry.size)]);
        text.push_str(&format!("\n{}", table(&["path", "digest", "size"], rows.collect())));
        entries.extend(tree.entries.iter().map(|(path, entry)| json!({ "path": path, "artifact": entry })));
    } else {
        let start = store.read_start(&artifact, PREVIEW_BYTES)?;
        content = preview(&start, artifact.size > PREVIEW_BYTES).map(str::to_owned);
        text.push_str(&format!("\n{}", content.as_deref().unwrap_or("(binary)")));
        if let Some(left_out) = content.as_ref().map(|content| artifact.size - content.len() as u64).filter(|n| *n > 0)
        {
            let get = shell::stepwell("artifact get", [artifact.digest.as_str(), "FILE"]);
            text.push_str(&session.out.pasteable(&format!("\n[{left_out} more bytes: {get} copies all]")));
        }
    }
    let complete = artifact.is_tree() || content.as_ref().is_some_and(|content| content.len() as u64 == artifact.size);
    let fields = json!({ "artifact": artifact, "entries": entries, "content": content, "complete": complete });
    session.out.document(&text, fields)?;
    Ok(Exit::Ok)
}

/// Returns the text at the start of an artifact; `None` for binary content. If `cut`, drops a last character that is
/// incomplete.
fn preview(start: &[u8], cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    text.filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::preview;

    #[test]
    fn a_character_that_the_preview_cuts_is_left_out() {
        let text = "näh".as_bytes();
        assert_eq!(preview(&text[..2], true), Some("n"));
        assert_eq!(preview(text, false), Some("näh"));
        assert_eq!(preview(&text[..2], false), None, "the artifact itself ends in half a character");
        assert_eq!(preview(b"a\xff\xffb", true), None);
        assert_eq!(preview(b"PK\0\0", true), None);
    }
}
