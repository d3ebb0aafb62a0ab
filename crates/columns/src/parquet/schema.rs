//! The columns of a Parquet file, from the list of its schema, which names every group before its members.

use super::thrift::{Field, Malformed, Thrift};
use crate::error::{ColumnError, ColumnType};

/// Deepest nesting of groups.
const DEEPEST: usize = 64;

const REPETITION_OPTIONAL: i64 = 1;
const REPETITION_REPEATED: i64 = 2;
const BYTE_ARRAY: i64 = 6;

/// An entry of the schema as it stands in the file.
#[derive(Default, Debug)]
pub struct Element {
    name: String,
    /// Physical type; groups have none.
    physical: Option<i64>,
    repetition: i64,
    children: i64,
    converted: Option<i64>,
    /// Number of the field that is set in the union of logical types.
    logical: Option<i64>,
}

/// A column that holds values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    pub path: Vec<String>,
    type_name: String,
    is_text: bool,
    /// Optional entries on the path: a value with fewer is null.
    pub levels: u32,
    is_repeated: bool,
}

impl Element {
    pub fn read(thrift: &mut Thrift<'_>) -> Result<Element, Malformed> {
        let mut element = Element::default();
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => element.physical = Some(thrift.integer(kind)?),
                3 => element.repetition = thrift.integer(kind)?,
                4 => element.name = thrift.text(kind)?,
                5 => element.children = thrift.integer(kind)?,
                6 => element.converted = Some(thrift.integer(kind)?),
                10 => thrift.structure(|_, id, _| {
                    element.logical = Some(id);
                    Ok(Field::Skip)
                })?,
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })?;
        Ok(element)
    }

    fn type_name(&self) -> String {
        const CONVERTED: [&str; 22] = [
            "string",
            "map",
            "map entry",
            "list",
            "enum",
            "decimal",
            "date",
            "time",
            "time",
            "timestamp",
            "timestamp",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "int8",
            "int16",
            "int32",
            "int64",
            "json",
            "bson",
            "interval",
        ];
        const PHYSICAL: [&str; 8] =
            ["bool", "int32", "int64", "int96", "float", "double", "binary", "binary of fixed length"];
        const LOGICAL: [&str; 16] = [
            "",
            "string",
            "map",
            "list",
            "enum",
            "decimal",
            "date",
            "time",
            "timestamp",
            "",
            "integer",
            "null",
            "json",
            "bson",
            "uuid",
            "float16",
        ];
        let named = |names: &[&str], index: Option<i64>| {
            let name = index.and_then(|index| names.get(usize::try_from(index).ok()?).copied());
            name.filter(|name| !name.is_empty()).map(str::to_owned)
        };
        named(&LOGICAL, self.logical)
            .or_else(|| named(&CONVERTED, self.converted))
            .or_else(|| named(&PHYSICAL, self.physical))
            .unwrap_or_else(|| "of an unknown type".to_owned())
    }

    /// Text, or bytes that nothing says are something else.
    fn is_text(&self) -> bool {
        let logical = self.logical.is_none_or(|logical| matches!(logical, 1 | 4 | 12));
        let converted = self.logical.is_some() || self.converted.is_none_or(|id| matches!(id, 0 | 4 | 19));
        self.physical == Some(BYTE_ARRAY) && logical && converted
    }
}

/// The columns in the order in which row groups list them.
pub fn leaves(elements: &[Element]) -> Result<Vec<Leaf>, &'static str> {
    let root = elements.first().ok_or("the schema is empty")?;
    let mut leaves = Vec::new();
    // Groups above the entry, each with the number of its members that are still to come.
    let mut above: Vec<(usize, i64)> = vec![(0, root.children)];
    for (index, element) in elements.iter().enumerate().skip(1) {
        while above.last().is_some_and(|(_, left)| *left == 0) {
            above.pop();
        }
        let Some((_, left)) = above.last_mut() else { return Err("the schema has more entries than its groups say") };
        *left -= 1;
        let path = || above.iter().skip(1).map(|(group, _)| &elements[*group]).chain([element]);
        if element.physical.is_some() {
            leaves.push(Leaf {
                path: path().map(|element| element.name.clone()).collect(),
                type_name: element.type_name(),
                is_text: element.is_text(),
                levels: path().filter(|element| element.repetition == REPETITION_OPTIONAL).count() as u32,
                is_repeated: path().any(|element| element.repetition == REPETITION_REPEATED),
            });
        } else if above.len() > DEEPEST {
            return Err("groups of the schema are nested too deep");
        } else if element.children > 0 {
            above.push((index, element.children));
        }
    }
    if above.iter().any(|(_, left)| *left != 0) {
        return Err("the schema has fewer entries than its groups say");
    }
    Ok(leaves)
}

impl Leaf {
    fn column(&self) -> ColumnType {
        let list = if self.is_repeated { "list of " } else { "" };
        ColumnType { name: self.path.join("."), type_name: format!("{list}{}", self.type_name) }
    }
}

/// Index of the text column of this name.
///
/// # Errors
/// `NoColumn`, `NotText`.
pub fn find(leaves: &[Leaf], name: &str) -> Result<usize, ColumnError> {
    let columns = || leaves.iter().map(Leaf::column).collect();
    match leaves.iter().position(|leaf| leaf.path.join(".") == name) {
        None => Err(ColumnError::NoColumn { wanted: name.to_owned(), columns: columns() }),
        Some(index) if leaves[index].is_text && !leaves[index].is_repeated => Ok(index),
        Some(index) => Err(ColumnError::NotText { column: leaves[index].column(), columns: columns() }),
    }
}
