//! Reads the rows of a text column of a Parquet or Arrow file.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;

use super::bad_line::BadLine;
use super::raw::open_regular;
use super::texts::{Item, Options, item};
use crate::corpus_import::source::{SourceFile, unreadable};
use crate::invisible;
use stepwell_base::failure::Failure;
use stepwell_base::shell::quote;
use stepwell_columns::{Cell, ColumnError, Layout, Limits, TextColumn};

pub struct Column<'a> {
    source: &'a SourceFile,
    file: File,
    /// The file when it was opened: its blocks are not read in order, so the digest is computed afterwards.
    opened: Metadata,
    rows: TextColumn,
    /// Places of nulls that are still made: only the first ones are named, and a bad file may have billions.
    named_nulls: u64,
}

const NAMED_NULLS: u64 = 10;

impl<'a> Column<'a> {
    /// # Errors
    /// When the file cannot be opened, is not sound, or has no such text column.
    pub fn open(source: &'a SourceFile, layout: Layout, options: Options<'_>) -> Result<Self, Failure> {
        let file = open_regular(&source.path)?;
        let failure = |error| unreadable(&source.path, &error);
        let opened = file.metadata().map_err(failure)?;
        let limits = Limits { block_bytes: options.max_document_bytes, ..Limits::default() };
        let rows = TextColumn::open(file.try_clone().map_err(failure)?, layout, options.column, limits);
        let rows = rows.map_err(|error| refused(source, layout, error))?;
        Ok(Column { source, file, opened, rows, named_nulls: NAMED_NULLS })
    }

    /// Offset in the file up to which it has been read.
    pub fn bytes_read(&self) -> u64 {
        self.rows.offset()
    }

    /// Digest of the file, if nothing has written to it since it was opened.
    pub fn digest(&self) -> Result<Option<blake3::Hash>, Failure> {
        let failure = |error| unreadable(&self.source.path, &error);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&self.file).map_err(failure)?;
        let now = self.file.metadata().map_err(failure)?;
        let state = |data: &Metadata| (data.len(), data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
        Ok((state(&now) == state(&self.opened)).then(|| hasher.finalize()))
    }

    /// # Errors
    /// When the file is damaged.
    pub fn next(&mut self, layout: Layout) -> Result<Option<Item>, Failure> {
        let row = self.rows.row();
        let place = || format!("{}, row {row}", self.source.shown());
        let cell = self.rows.next_cell().map_err(|error| refused(self.source, layout, error))?;
        Ok(cell.map(|cell| match cell {
            Cell::Text(text) => item(text, 0),
            Cell::Null if self.named_nulls == 0 => Item::Null { place: String::new() },
            Cell::Null => {
                self.named_nulls -= 1;
                Item::Null { place: place() }
            }
            Cell::NotUtf8 { valid_up_to } => Item::Bad(BadLine {
                place: place(),
                what: format!("invalid UTF-8 at byte {valid_up_to} of the text"),
                hint: "only UTF-8 can be imported; convert the column".to_owned(),
            }),
        }))
    }
}

fn refused(source: &SourceFile, layout: Layout, error: ColumnError) -> Failure {
    let (name, check) = match layout {
        Layout::Parquet => ("Parquet", "import pyarrow.parquet as p, sys; p.read_table(sys.argv[1])"),
        Layout::Arrow => ("Arrow", "import datasets, sys; datasets.Dataset.from_file(sys.argv[1])"),
    };
    let hint = match &error {
        ColumnError::Io(error) => return unreadable(&source.path, error),
        ColumnError::NoColumn { .. } | ColumnError::NotText { .. } => {
            "name the column that holds the text with `column`; `outer.inner` leads into a structure".to_owned()
        }
        ColumnError::TooLarge { .. } => {
            "write the file with smaller pages, row groups or record batches; a bad file may ask for any size"
                .to_owned()
        }
        ColumnError::Unsupported { .. } => {
            "write the file again, with snappy, zstd, gzip or no compression, and without encryption".to_owned()
        }
        ColumnError::NotThisFormat(_) | ColumnError::Truncated { .. } | ColumnError::Damaged { .. } => {
            format!("get the file again, or check it with `python -c '{check}' {}`", quote(&source.path))
        }
    };
    Failure::fatal(format!("{} cannot be read as {name}: {}", source.shown(), invisible::shown(&error.to_string())))
        .with_hint(hint)
}
