//! Files that pyarrow wrote (`scripts/golden/make_columns.py`), and damage to them.

mod damage;
mod files;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::{Cell, ColumnError, Layout, Limits, TextColumn};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/columns")
}

fn layout(name: &str) -> Layout {
    if name.ends_with(".parquet") { Layout::Parquet } else { Layout::Arrow }
}

fn read_with(path: &Path, column: &str, limits: Limits) -> Result<Vec<Cell>, ColumnError> {
    let layout = layout(path.to_str().unwrap());
    let mut column = TextColumn::open(File::open(path)?, layout, column, limits)?;
    let mut cells = Vec::new();
    while let Some(cell) = column.next_cell()? {
        cells.push(cell);
    }
    assert_eq!(column.row(), cells.len() as u64);
    Ok(cells)
}

fn read(name: &str, column: &str) -> Result<Vec<Cell>, ColumnError> {
    read_with(&folder().join(name), column, Limits::default())
}

/// Reads these bytes as a file of this name.
fn read_bytes(name: &str, bytes: &[u8], limits: Limits) -> Result<Vec<Cell>, ColumnError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_with(&path, "text", limits)
}
