//! Reads rows of the database as types, and writes the types that need an encoding.

mod column;
mod from_row;
mod json;
mod query;
mod time;

pub(crate) use column::{Column, NanAsNull};
pub(crate) use from_row::{Columns, Find, FromRow, columns};
pub(crate) use json::Json;
pub(crate) use query::{Listed, collect, collect_into, collect_readable, each, exists, first};
pub(crate) use time::time_text;
