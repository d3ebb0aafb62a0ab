//! One line of examples.

use stepwell_base::ordered_json::Json;

/// What a line says.
#[derive(Debug, PartialEq)]
pub enum Row {
    Text {
        prompt: String,
        completion: String,
    },
    Chat {
        messages: Json,
        /// Number of messages that belong to the prompt.
        prompt: usize,
        tools: Option<Json>,
        variables: Option<Json>,
    },
}

/// Reason why a line is no example.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRow {
    #[error("it is no JSON object: {0}")]
    Json(String),
    #[error("it has neither `messages` nor `prompt` and `completion`")]
    NoExample,
    #[error("it has `{0}`, but no `{1}`")]
    Half(&'static str, &'static str),
    #[error("`prompt` and `completion` must both be texts, or both be lists of messages")]
    Mixed,
    #[error("`{0}` must be a list of messages with `role` and `content`")]
    Messages(&'static str),
    #[error("its completion is empty: there is nothing to learn")]
    NothingToLearn,
}

/// Reads a line. Fields that it does not know are ignored: data sets have ids and sources.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &[u8]) -> Result<Row, BadRow> {
    let json: Json = serde_json::from_slice(line).map_err(|error| BadRow::Json(error.to_string()))?;
    if !matches!(json, Json::Object(_)) {
        return Err(BadRow::Json("it is another value".to_owned()));
    }
    match (json.get("prompt"), json.get("completion"), json.get("messages")) {
        (Some(prompt), Some(completion), _) => row_of(&json, prompt, completion),
        (Some(_), None, _) => Err(BadRow::Half("prompt", "completion")),
        (None, Some(_), _) => Err(BadRow::Half("completion", "prompt")),
        (None, None, Some(messages)) => Ok(chat(&json, list(messages, "messages")?, 0)),
        (None, None, None) => Err(BadRow::NoExample),
    }
}

/// A prompt and its answer. `line` has the tools.
///
/// # Errors
/// When they are no two texts or lists of messages, or there is nothing to learn.
pub fn row_of(line: &Json, prompt: &Json, completion: &Json) -> Result<Row, BadRow> {
    match (prompt.text(), completion.text()) {
        (Some(_), Some("")) => Err(BadRow::NothingToLearn),
        (Some(prompt), Some(completion)) => {
            Ok(Row::Text { prompt: prompt.to_owned(), completion: completion.to_owned() })
        }
        (None, None) => {
            let (mut messages, answers) = (list(prompt, "prompt")?, list(completion, "completion")?);
            let prompt = messages.len();
            messages.extend(answers);
            Ok(chat(line, messages, prompt))
        }
        _ => Err(BadRow::Mixed),
    }
}

fn chat(line: &Json, messages: Vec<Json>, prompt: usize) -> Row {
    Row::Chat {
        messages: Json::List(messages),
        prompt,
        tools: line.get("tools").filter(|tools| **tools != Json::Null).cloned(),
        variables: line.get("chat_template_kwargs").filter(|given| matches!(given, Json::Object(_))).cloned(),
    }
}

fn list(json: &Json, field: &'static str) -> Result<Vec<Json>, BadRow> {
    let is_message =
        |message: &Json| message.get("role").and_then(Json::text).is_some() && message.get("content").is_some();
    match json {
        Json::List(messages) if !messages.is_empty() && messages.iter().all(is_message) => Ok(messages.clone()),
        _ => Err(BadRow::Messages(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_form_are_read_and_others_say_why_not() {
        let line = br#"{"prompt":"a","completion":" b","id":7}"#;
        assert_eq!(read(line), Ok(Row::Text { prompt: "a".into(), completion: " b".into() }));
        let chat = br#"{"prompt":[{"role":"user","content":"x"}],"completion":[{"role":"assistant","content":"y"}],"tools":null}"#;
        assert!(matches!(read(chat), Ok(Row::Chat { prompt: 1, tools: None, variables: None, .. })));
        let messages = br#"{"messages":[{"role":"assistant","content":"y"}],"chat_template_kwargs":{"a":1}}"#;
        assert!(matches!(read(messages), Ok(Row::Chat { prompt: 0, variables: Some(_), .. })));
        for (line, error) in [
            ("nothing", "no JSON object"),
            ("[1]", "no JSON object"),
            (r#"{"text":"a"}"#, "neither"),
            (r#"{"prompt":"a"}"#, "no `completion`"),
            (r#"{"completion":"a"}"#, "no `prompt`"),
            (r#"{"prompt":"a","completion":""}"#, "nothing to learn"),
            (r#"{"prompt":"a","completion":[{"role":"assistant","content":"y"}]}"#, "both be texts"),
            (r#"{"messages":[]}"#, "`messages` must be a list"),
            (r#"{"messages":[{"from":"gpt","value":"x"}]}"#, "`role` and `content`"),
        ] {
            let found = read(line.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(error), "{line}: {found}");
        }
    }
}
