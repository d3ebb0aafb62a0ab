//! Turns events of the log into messages. A subject is one file with an entry in `SUBJECTS` of `list`; its bodies are its own.

mod content;
mod list;
mod run;
mod step;
mod subject;

pub(in crate::outbound) use list::concerns;
pub(super) use list::{messages, test};
