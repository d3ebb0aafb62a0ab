//! The columns of an Arrow file, and which buffers of a record batch belong to one of them.

use super::flatbuffer::{Malformed, Table};
use crate::error::{ColumnError, ColumnType};

/// Deepest nesting of fields.
const DEEPEST: usize = 64;
/// Most fields of a schema, nested ones included.
const MOST: usize = 100_000;

/// Names of types, by their number in the union of types, and the buffers of their arrays.
const TYPES: [(&str, usize); 27] = [
    ("of no type", 0),
    ("null", 0),
    ("integer", 2),
    ("float", 2),
    ("binary", 3),
    ("string", 3),
    ("bool", 2),
    ("decimal", 2),
    ("date", 2),
    ("time", 2),
    ("timestamp", 2),
    ("interval", 2),
    ("list", 2),
    ("struct", 1),
    ("union", 1),
    ("binary of fixed length", 2),
    ("list of fixed length", 1),
    ("map", 2),
    ("duration", 2),
    ("large binary", 3),
    ("large string", 3),
    ("large list", 2),
    ("run-end encoded", 0),
    ("binary view", 2),
    ("string view", 2),
    ("list view", 3),
    ("large list view", 3),
];
const BINARY: u8 = 4;
const UTF8: u8 = 5;
const STRUCT: u8 = 13;
const UNION: u8 = 14;
const LARGE_BINARY: u8 = 19;
const LARGE_UTF8: u8 = 20;
/// Views have as many buffers as each record batch says.
const VIEWS: [u8; 2] = [23, 24];

/// The wanted column: positions among the buffers of a record batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Validity of each entry on the path, with its position among the arrays.
    pub validity: Vec<(usize, usize)>,
    /// Buffer of the offsets; that of the texts follows.
    pub offsets: usize,
    /// Bytes of an offset.
    pub offset_bytes: usize,
}

/// Counts arrays and buffers in the order in which record batches list them.
struct Walk<'a> {
    wanted: &'a str,
    arrays: usize,
    buffers: usize,
    fields: usize,
    /// An array of views came before.
    after_views: bool,
    columns: Vec<ColumnType>,
    found: Option<Result<Wanted, ColumnType>>,
}

/// Finds the text column of this name.
///
/// # Errors
/// `NoColumn`, `NotText`; `Damaged` at `offset`.
pub fn find(schema: &Table<'_>, wanted: &str, offset: u64) -> Result<Wanted, ColumnError> {
    let damaged = |Malformed| ColumnError::damaged(offset, "bad schema");
    // Arrow numbers are little-endian unless the schema says otherwise.
    if schema.i16(0).map_err(damaged)? != 0 {
        return Err(ColumnError::unsupported(offset, "the numbers of the file are big-endian"));
    }
    let mut walk =
        Walk { wanted, arrays: 0, buffers: 0, fields: 0, after_views: false, columns: Vec::new(), found: None };
    for field in schema.tables(1).map_err(damaged)? {
        walk.field(&field, "", &[], 0).map_err(damaged)?;
    }
    match walk.found {
        Some(Ok(wanted)) => Ok(wanted),
        Some(Err(column)) => Err(ColumnError::NotText { column, columns: walk.columns }),
        None => Err(ColumnError::NoColumn { wanted: wanted.to_owned(), columns: walk.columns }),
    }
}

impl Walk<'_> {
    fn field(
        &mut self,
        field: &Table<'_>,
        above: &str,
        validity: &[(usize, usize)],
        depth: usize,
    ) -> Result<(), Malformed> {
        self.fields += 1;
        if depth > DEEPEST || self.fields > MOST {
            return Err(Malformed);
        }
        let name = field.text(0)?;
        let name = if above.is_empty() { name } else { format!("{above}.{name}") };
        let kind = field.u8(2)?;
        let (type_name, buffers) = TYPES.get(usize::from(kind)).copied().ok_or(Malformed)?;
        let (array, first) = (self.arrays, self.buffers);
        self.arrays += 1;
        // In place of its values, the array of a dictionary has their numbers.
        let is_dictionary = field.table(4)?.is_some();
        let is_dense = kind == UNION && field.table(3)?.is_some_and(|of_type| of_type.i16(0) == Ok(1));
        self.buffers += if is_dictionary { 2 } else { buffers + usize::from(is_dense) };
        let is_text = matches!(kind, BINARY | UTF8 | LARGE_BINARY | LARGE_UTF8) && !is_dictionary;
        let children = if is_dictionary { Vec::new() } else { field.tables(5)? };
        if children.is_empty() {
            let type_name = if is_dictionary { format!("dictionary of {type_name}") } else { type_name.to_owned() };
            self.columns.push(ColumnType { name: name.clone(), type_name });
        }
        if name == self.wanted && self.found.is_none() {
            let wide = matches!(kind, LARGE_BINARY | LARGE_UTF8);
            let in_list = depth > 0 && validity.is_empty();
            let is_found = is_text && !self.after_views && !in_list;
            let shown = match (is_dictionary, in_list, self.after_views) {
                (true, ..) => format!("dictionary of {type_name}"),
                (_, true, _) => format!("{type_name} inside of a list"),
                (_, _, true) => format!("{type_name} behind a column of views"),
                _ => type_name.to_owned(),
            };
            self.found = Some(if is_found {
                let mut validity = validity.to_vec();
                validity.push((array, first));
                Ok(Wanted { validity, offsets: first + 1, offset_bytes: if wide { 8 } else { 4 } })
            } else {
                Err(ColumnType { name: name.clone(), type_name: shown })
            });
        }
        self.after_views |= VIEWS.contains(&kind);
        // Rows of structures are rows of the file, those of lists are not.
        let is_row = kind == STRUCT && (depth == 0 || !validity.is_empty());
        let mut below = if is_row { validity.to_vec() } else { Vec::new() };
        if is_row {
            below.push((array, first));
        }
        for child in children {
            self.field(&child, &name, &below, depth + 1)?;
        }
        Ok(())
    }
}
