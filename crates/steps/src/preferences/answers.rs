//! One line of preferences: two answers to a prompt, or one with a label.

use crate::sft::{BadRow, Row, row_of};
use stepwell_base::ordered_json::Json;

/// Answers of a line, each with its prompt.
#[derive(Debug, PartialEq)]
pub enum Answers {
    Pair { chosen: Row, rejected: Row },
    Labelled { answer: Row, desirable: bool },
}

/// Reason why a line is no preference.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadAnswers {
    #[error("it is no JSON object: {0}")]
    Json(String),
    #[error("it has neither `chosen` and `rejected` nor `completion` and `label`")]
    NoPreference,
    #[error("it has `{0}`, but no `{1}`")]
    Half(&'static str, &'static str),
    #[error("its `label` is neither true nor false")]
    Label,
    #[error("it has no `prompt`, and its answers do not start with the same messages")]
    NoPrompt,
    #[error("both answers are the same")]
    Same,
    #[error("`{field}`: {problem}")]
    Answer { field: &'static str, problem: BadRow },
}

/// Reads a line. Fields that it does not know are ignored.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &[u8]) -> Result<Answers, BadAnswers> {
    let json: Json = serde_json::from_slice(line).map_err(|error| BadAnswers::Json(error.to_string()))?;
    if !matches!(json, Json::Object(_)) {
        return Err(BadAnswers::Json("it is another value".to_owned()));
    }
    let answer = |field: &'static str, prompt: &Json, completion: &Json| {
        row_of(&json, prompt, completion).map_err(|problem| BadAnswers::Answer { field, problem })
    };
    match (json.get("chosen"), json.get("rejected"), json.get("label")) {
        (Some(chosen), Some(rejected), _) => {
            let shared = shared_prompt(chosen, rejected);
            let (prompt, chosen, rejected) = match (json.get("prompt"), shared) {
                (Some(prompt), _) => (prompt.clone(), chosen.clone(), rejected.clone()),
                (None, Some(parts)) => parts,
                (None, None) => return Err(BadAnswers::NoPrompt),
            };
            if chosen == rejected {
                return Err(BadAnswers::Same);
            }
            Ok(Answers::Pair {
                chosen: answer("chosen", &prompt, &chosen)?,
                rejected: answer("rejected", &prompt, &rejected)?,
            })
        }
        (Some(_), None, _) => Err(BadAnswers::Half("chosen", "rejected")),
        (None, Some(_), _) => Err(BadAnswers::Half("rejected", "chosen")),
        (None, None, Some(label)) => {
            let Json::Bool(desirable) = *label else { return Err(BadAnswers::Label) };
            let prompt = json.get("prompt").ok_or(BadAnswers::Half("label", "prompt"))?;
            let completion = json.get("completion").ok_or(BadAnswers::Half("label", "completion"))?;
            Ok(Answers::Labelled { answer: answer("completion", prompt, completion)?, desirable })
        }
        (None, None, None) => Err(BadAnswers::NoPreference),
    }
}

/// The messages that both answers start with, and the rest of each.
fn shared_prompt(chosen: &Json, rejected: &Json) -> Option<(Json, Json, Json)> {
    let (Json::List(chosen), Json::List(rejected)) = (chosen, rejected) else { return None };
    let shared = chosen.iter().zip(rejected).take_while(|(one, other)| one == other).count();
    let shared = shared.min(chosen.len().saturating_sub(1)).min(rejected.len().saturating_sub(1));
    let list = |messages: &[Json]| Json::List(messages.to_vec());
    (shared > 0).then(|| (list(&chosen[..shared]), list(&chosen[shared..]), list(&rejected[shared..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prompt: &str, completion: &str) -> Row {
        Row::Text { prompt: prompt.into(), completion: completion.into() }
    }

    #[test]
    fn lines_of_every_form_are_read_and_others_say_why_not() {
        let pair = read(br#"{"prompt":"a","chosen":" b","rejected":" c","id":7}"#);
        assert_eq!(pair, Ok(Answers::Pair { chosen: text("a", " b"), rejected: text("a", " c") }));
        let labelled = read(br#"{"prompt":"a","completion":" b","label":false}"#);
        assert_eq!(labelled, Ok(Answers::Labelled { answer: text("a", " b"), desirable: false }));
        let shared = r#"{"chosen":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],
            "rejected":[{"role":"user","content":"x"},{"role":"assistant","content":"z"}]}"#;
        let Ok(Answers::Pair { chosen: Row::Chat { prompt: 1, .. }, .. }) = read(shared.as_bytes()) else {
            panic!("the prompt is what both start with")
        };
        for (line, error) in [
            ("nothing", "no JSON object"),
            ("[1]", "no JSON object"),
            (r#"{"prompt":"a","completion":"b"}"#, "neither"),
            (r#"{"prompt":"a","chosen":"b"}"#, "no `rejected`"),
            (r#"{"prompt":"a","rejected":"b"}"#, "no `chosen`"),
            (r#"{"chosen":"b","rejected":"c"}"#, "no `prompt`"),
            (r#"{"prompt":"a","chosen":"b","rejected":"b"}"#, "the same"),
            (r#"{"prompt":"a","chosen":"b","rejected":""}"#, "`rejected`: its completion is empty"),
            (r#"{"prompt":"a","chosen":[{"role":"assistant","content":"y"}],"rejected":"c"}"#, "`chosen`: "),
            (r#"{"prompt":"a","completion":"b","label":1}"#, "neither true nor false"),
            (r#"{"completion":"b","label":true}"#, "no `prompt`"),
        ] {
            let found = read(line.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(error), "{line}: {found}");
        }
    }
}
