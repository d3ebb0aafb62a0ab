//! Wrong guesses at verbs and flags, answered with what was meant.

mod flag_table;
mod flags;
mod of_run;
mod param_flag;
mod shorthand;
mod state;
#[cfg(test)]
mod tests;
mod verb_table;
mod verbs;
mod words;

pub use flags::{assignment, flag, set_without_sign};
pub use param_flag::{ParamSet, exact, set_param};
pub use shorthand::in_full;
pub use state::{State, named};
pub use verbs::verb;
pub use words::{extra_word, fork, output_form, schedule};
