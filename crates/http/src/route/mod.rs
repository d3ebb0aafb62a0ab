//! Routes: each is one value with its scope and its documentation.

mod access;
mod doc;
mod entry;
mod extract;
mod openapi;

pub use access::{Access, AccessMap, Pace};
pub use doc::Doc;
pub use entry::Route;
pub use extract::{Body, BodyOf, PathOf, QueryOf};
pub use openapi::openapi;
