//! Parquet: a footer that says where the pages of each column are, then the pages of one column.

mod delta;
mod footer;
mod hybrid;
mod page;
mod page_header;
mod reader;
mod schema;
mod thrift;

pub use reader::ParquetColumn;
