//! What is wrong with a workflow, line by line.

use serde_json::Value;

use crate::problem::Problem;

pub struct Mistake {
    pub line: Option<u64>,
    pub text: String,
    pub hint: Option<String>,
}

/// The problems of the text of a workflow; for any other refusal, what it says.
pub fn mistakes(problem: &Problem) -> Vec<Mistake> {
    let first = problem.problems().and_then(|problems| problems["first"].as_array());
    let found: Vec<Mistake> = first
        .into_iter()
        .flatten()
        .map(|one| Mistake {
            line: one["line"].as_u64(),
            text: one["message"].as_str().unwrap_or_default().to_owned(),
            hint: one["hint"].as_str().map(str::to_owned),
        })
        .collect();
    if found.is_empty() {
        let hint = problem.hint_text().map(str::to_owned);
        return vec![Mistake { line: None, text: problem.detail().to_owned(), hint }];
    }
    found
}

/// A refusal as single messages.
pub fn messages(problem: &Problem) -> Vec<String> {
    let with_hint = |mistake: Mistake| match mistake.hint {
        Some(hint) => format!("{}: {hint}", mistake.text),
        None => mistake.text,
    };
    mistakes(problem).into_iter().map(with_hint).collect()
}

/// How many problems there are in all.
pub fn count(problem: &Problem) -> u64 {
    problem.problems().map(|problems: &Value| &problems["count"]).and_then(Value::as_u64).unwrap_or(1)
}
