//! Derives format and compression from a file's name.

use std::path::Path;

use super::resolve::file_name;

/// Structure of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    /// One JSON object per line; an array of objects is accepted as well.
    JsonLines,
    /// An array of objects, JSON lines, or objects over several lines.
    Json,
    /// Rows of columns.
    Parquet,
    Arrow,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Extensions that a search of a folder includes, for messages.
pub const KNOWN: &str =
    ".txt, .md, .jsonl, .ndjson, .jsonlines and .json, each also as .gz or .zst, .parquet, .arrow and .feather";

/// Returns format and compression by name; no format if a search of a folder ignores the name.
pub fn of(path: &Path) -> (Option<Format>, Compression) {
    let name = file_name(path).to_lowercase();
    let compressions = [
        (".gz", Compression::Gzip),
        (".gzip", Compression::Gzip),
        (".zst", Compression::Zstd),
        (".zstd", Compression::Zstd),
    ];
    let compressed = compressions
        .into_iter()
        .find_map(|(extension, compression)| Some((name.strip_suffix(extension)?, compression)));
    let (stem, compression) = compressed.unwrap_or((&name, Compression::None));
    let formats = [
        (".txt", Format::Text),
        (".md", Format::Text),
        (".jsonl", Format::JsonLines),
        (".ndjson", Format::JsonLines),
        (".jsonlines", Format::JsonLines),
        (".json", Format::Json),
    ];
    // Their blocks are compressed, and read in any order.
    let columns = [
        (".parquet", Format::Parquet),
        (".arrow", Format::Arrow),
        (".feather", Format::Arrow),
        (".ipc", Format::Arrow),
    ];
    if let Some((_, format)) = columns.into_iter().find(|(extension, _)| name.ends_with(extension)) {
        return (Some(format), Compression::None);
    }
    let format = formats.into_iter().find(|(extension, _)| stem.ends_with(extension)).map(|(_, format)| format);
    (format, compression)
}
