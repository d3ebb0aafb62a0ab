//! `GET /artifacts/{digest}`: an artifact, where it comes from, and what is in it.

use std::io::Read;

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::super::parts::{Frame, Here, Shown, bytes, command, show};
use super::super::runs::encoded;
use super::folder::{Level, level};
use super::rows::{DataRow, rows};
use crate::api::content::artifacts::{entries, find, open};
use crate::desk::EngineView;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::visible::visible;
use stepwell_store::{Reader, Reference, ReferenceHolder};

/// Files and folders on a page.
const MOST: usize = 200;
/// Bytes of a text that are shown.
const MOST_TEXT: u64 = 32 << 10;
/// Bytes in which rows of data are looked for: provenance makes them long.
const MOST_ROWS_BYTES: u64 = 512 << 10;
const LONGEST_PATH: usize = 4096;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/artifacts/{digest}", Access::READ, artifact, Doc::new("page", "Shows an artifact"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    /// A folder in it, such as `a/b`.
    at: String,
    page: usize,
}

#[derive(Template)]
#[template(path = "artifact.html")]
struct Artifact {
    frame: Frame,
    digest: String,
    media_type: String,
    size: String,
    run: String,
    run_name: String,
    step: String,
    step_href: String,
    name: String,
    is_folder: bool,
    download: String,
    provenance: String,
    command: String,
    /// The folders around the shown one, each with its address.
    around: Vec<(String, String)>,
    here: String,
    folders: Vec<Folder>,
    files: Vec<File>,
    count: usize,
    previous: Option<String>,
    next: Option<String>,
    text: Option<String>,
    is_cut: bool,
    rows: Vec<DataRow>,
}

struct Folder {
    name: String,
    href: String,
    count: String,
    size: String,
}

struct File {
    name: String,
    href: String,
    media_type: String,
    size: String,
}

async fn artifact(
    State(app): State<AppState>,
    PathOf(digest): PathOf<String>,
    QueryOf(query): QueryOf<Query>,
) -> Shown {
    if query.at.len() > LONGEST_PATH {
        return Err(Problem::usage(format!("a path has at most {LONGEST_PATH} bytes")).into());
    }
    let engine = app.ask(|desk| Ok::<_, Problem>(desk.engine())).await?;
    let page = app.read(move |reader| page(reader, &digest, &query, &engine)).await?;
    show(&page)
}

fn page(reader: &Reader, digest: &str, query: &Query, engine: &EngineView) -> Result<Artifact, Problem> {
    let Reference { run, step, holder, artifact } = find(reader, digest)?;
    let digest = artifact.digest.as_str().to_owned();
    let at = query.at.trim_matches('/');
    let address = |at: &str, page: usize| {
        let pairs = [("at", at.to_owned()), ("page", if page > 0 { page.to_string() } else { String::new() })];
        let pairs: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("/artifacts/{digest}{query}")
    };
    let is_folder = artifact.is_tree();
    let all = if is_folder { entries(reader, &artifact)? } else { Vec::new() };
    let size = if is_folder { all.iter().map(|(_, file)| file.size).sum() } else { artifact.size };
    let Level { folders, files } = level(&all, at);
    if is_folder && !at.is_empty() && folders.is_empty() && files.is_empty() {
        return Err(Problem::not_found("the artifact has no such folder"));
    }
    let count = folders.len() + files.len();
    let skipped = query.page.saturating_mul(MOST);
    let folder = |(name, count, size): (String, u64, u64)| {
        let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
        let count = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        Row::Folder(Folder { href: address(&path, 0), name: visible(&name).into_owned(), count, size: bytes(size) })
    };
    let file = |(name, index, of): (String, usize, ArtifactRef)| {
        Row::File(File {
            name: visible(&name).into_owned(),
            href: format!("/api/v1/artifacts/{digest}/entry?index={index}"),
            media_type: of.media_type,
            size: bytes(of.size),
        })
    };
    let names = folders.into_iter().map(folder).chain(files.into_iter().map(file));
    let (mut shown_folders, mut shown_files) = (Vec::new(), Vec::new());
    for row in names.skip(skipped).take(MOST) {
        match row {
            Row::Folder(folder) => shown_folders.push(folder),
            Row::File(file) => shown_files.push(file),
        }
    }
    let mut around = Vec::new();
    let parts: Vec<&str> = at.split('/').filter(|part| !part.is_empty()).collect();
    if let Some((_, before)) = parts.split_last() {
        around.push(("all files".to_owned(), address("", 0)));
        for depth in 1..=before.len() {
            around.push((before[depth - 1].to_owned(), address(&before[..depth].join("/"), 0)));
        }
    }
    let (text, is_cut, rows) = if is_folder { (None, false, Vec::new()) } else { start_of(reader, &artifact)? };
    let name = match holder {
        ReferenceHolder::Output(name) => name,
        ReferenceHolder::Checkpoint { last_step: Some(at), .. } => format!("checkpoint at training step {at}"),
        ReferenceHolder::Checkpoint { .. } => "checkpoint".to_owned(),
    };
    Ok(Artifact {
        frame: Frame::live(Here::Runs, address(at, query.page), engine),
        media_type: artifact.media_type.clone(),
        size: bytes(size),
        run_name: reader.run(run)?.name,
        run: run.to_string(),
        step_href: format!("/runs/{run}/steps/{}", encoded(step.as_str())),
        step: step.to_string(),
        name,
        is_folder,
        download: format!("/api/v1/artifacts/{digest}/content"),
        provenance: format!("/artifacts/{digest}/provenance"),
        command: command("artifact get", [&*digest]),
        around,
        here: parts.last().map(|part| visible(part).into_owned()).unwrap_or_default(),
        folders: shown_folders,
        files: shown_files,
        count,
        previous: (query.page > 0).then(|| address(at, query.page - 1)),
        next: (skipped + MOST < count).then(|| address(at, query.page + 1)),
        text,
        is_cut,
        rows,
        digest,
    })
}

enum Row {
    Folder(Folder),
    File(File),
}

/// The start of a text, whether there is more of it, and the rows of data in it. What a command writes has no better type than
/// bytes, so the bytes decide.
fn start_of(reader: &Reader, artifact: &ArtifactRef) -> Result<(Option<String>, bool, Vec<DataRow>), Problem> {
    let mut start = Vec::new();
    let read = open(reader, artifact)?.take(MOST_ROWS_BYTES).read_to_end(&mut start);
    read.map_err(|error| Problem::internal("reading the artifact", &error))?;
    let rows = text_of(&start).map(|text| rows(&artifact.media_type, text)).unwrap_or_default();
    start.truncate(MOST_TEXT as usize);
    Ok((text_of(&start).map(|text| visible(text).into_owned()), artifact.size > MOST_TEXT, rows))
}

/// The text that bytes are the start of; a character at the end may be cut.
fn text_of(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_from_other_bytes() {
        assert_eq!(text_of("grün\n".as_bytes()), Some("grün\n"));
        assert_eq!(text_of(&"grün".as_bytes()[..3]), Some("gr"));
        assert_eq!([text_of(b"a\0b"), text_of(b"\xff\xfe"), text_of(b"")], [None, None, None]);
    }
}
