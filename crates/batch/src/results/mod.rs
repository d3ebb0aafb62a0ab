//! Lines of the result files, and what is counted over them.

mod answer;
mod counts;
mod ids;
mod line;
mod logprobs;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Choice, FinishReason, Usage};
pub use counts::{Counts, RequestCounts};
pub use ids::BatchName;
pub use line::{Header, answer_line, completion_body, failure_line};
pub use logprobs::{Logprobs, PromptLogprob, TokenLogprob};
