//! Templates in the arguments of a step: the names they refer to, and their values.

mod best;
mod choice;
mod context;
mod error;
mod evaluate;
mod files;
mod json;
mod lexer;
mod names;
mod references;
mod syntax;
#[cfg(test)]
mod tests;

pub(crate) use choice::Choice;
pub use context::{Child, FanOut, StepOutputs, TemplateContext};
pub use error::{Reason, TemplateError};
pub use evaluate::{MAXIMUM_ITEMS, condition, items, items_now, outputs, resolve, rule, uses_glob, with_params};
pub(crate) use evaluate::{condition_of, constant, items_of};
pub use files::Files;
pub(crate) use files::GLOB;
pub use names::{Named, behind};
pub(crate) use references::{Reference, Scan, Segment, whole_reference};
pub use syntax::is_literal;
pub(crate) use syntax::{
    FILTERS, FUNCTIONS, Form, SyntaxError, TESTS, expression_text, form, is_filter, is_function, is_test,
    scan_expression, scan_text,
};
