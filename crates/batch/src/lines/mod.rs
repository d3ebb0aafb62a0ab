//! Lines of a batch file: JSON with `custom_id`, `method`, `url` and `body`, as OpenAI and vLLM define them.

mod envelope;
mod rules;
mod scan;
#[cfg(test)]
mod tests;

pub use envelope::{Request, is_blank, parse_line};
pub use rules::{Limits, OnBadLine, Rules};
pub use scan::{LineProblem, Place, Scanner, Seen};
