//! Starting a workflow: by a form that is made from its parameters, or from the text of a file.

mod field;
pub mod form;
pub mod list;
mod mistakes;
pub mod text;
