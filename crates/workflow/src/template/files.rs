//! The function `glob` of `for_each`. The language itself reads no files: who evaluates the expression lists them.

use std::fmt;
use std::sync::Arc;

use minijinja::value::Object;
use minijinja::{Error, ErrorKind, State, Value};

/// Lists files for `glob(..)`.
pub trait Files: fmt::Debug + Send + Sync {
    /// The files that match, in order.
    ///
    /// # Errors
    /// The reason for people.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// Name of the hidden variable with the files; no template can write it.
pub(super) const FILES: &str = "$files";
/// Name of the function.
pub(crate) const GLOB: &str = "glob";

#[derive(Debug)]
pub(super) struct FilesObject(pub Arc<dyn Files>);

impl Object for FilesObject {}

pub(super) fn glob(state: &State<'_, '_>, pattern: &str) -> Result<Value, Error> {
    let refused = |message: String| Error::new(ErrorKind::InvalidOperation, message);
    let files = state.lookup(FILES).unwrap_or_default();
    match files.downcast_object_ref::<FilesObject>() {
        Some(FilesObject(files)) => files.glob(pattern).map(Value::from).map_err(refused),
        None => Err(refused("`glob` lists files for `for_each` only".to_owned())),
    }
}
