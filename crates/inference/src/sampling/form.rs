//! Forms that a text must have, and the tokens that keep it.

use std::sync::Arc;

use super::json::{JsonState, plain_characters};
use super::schema::{Grammar, SchemaState};

/// Form of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// One JSON object that meets a schema.
    Schema(Arc<Grammar>),
}

/// State of a text that must have a form, after the bytes written so far.
#[derive(Clone, Debug)]
pub enum FormState {
    Json(JsonState),
    Schema(SchemaState),
}

/// Bytes of a token.
#[derive(Clone, Debug)]
pub struct TokenBytes {
    bytes: Vec<u8>,
    /// See [`plain_characters`].
    plain: Option<u32>,
}

impl From<Vec<u8>> for TokenBytes {
    fn from(bytes: Vec<u8>) -> Self {
        TokenBytes { plain: plain_characters(&bytes), bytes }
    }
}

impl FormState {
    /// The start of a text; `None` if it may have any form.
    pub fn start(format: &Format) -> Option<Self> {
        match format {
            Format::Text => None,
            Format::Json => Some(FormState::Json(JsonState::default())),
            Format::Schema(grammar) => Some(FormState::Schema(SchemaState::new(grammar.clone()))),
        }
    }

    /// The state after a token, or `None` if the text would lose its form.
    pub fn after(&self, token: &TokenBytes) -> Option<Self> {
        if token.bytes.is_empty() { None } else { self.after_bytes(&token.bytes) }
    }

    fn after_bytes(&self, bytes: &[u8]) -> Option<Self> {
        match self {
            FormState::Json(state) => state.after(bytes).map(FormState::Json),
            FormState::Schema(state) => state.after(bytes).map(FormState::Schema),
        }
    }

    /// True if the text is complete.
    pub fn is_complete(&self) -> bool {
        match self {
            FormState::Json(state) => state.is_complete(),
            FormState::Schema(state) => state.is_complete(),
        }
    }

    /// Bans all tokens that would make the text lose its form.
    pub fn ban(&self, scores: &mut [f32], tokens: &[TokenBytes]) {
        let room = match self {
            FormState::Json(state) => state.room_for_text(),
            FormState::Schema(state) => state.room_for_text(),
        };
        // Most tokens start with a byte that cannot follow, or are plain characters inside a string.
        let starts: Vec<Option<FormState>> = (0..=u8::MAX).map(|byte| self.after_bytes(&[byte])).collect();
        for (score, token) in scores.iter_mut().zip(tokens) {
            let fits = match (&token.bytes[..], token.plain) {
                (_, Some(characters)) if characters <= room => true,
                ([], _) => false,
                ([first], _) => starts[usize::from(*first)].is_some(),
                ([first, rest @ ..], _) => {
                    starts[usize::from(*first)].as_ref().is_some_and(|start| start.after_bytes(rest).is_some())
                }
            };
            if !fits {
                *score = f32::NEG_INFINITY;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::ordered_json::Json;

    /// The shortcuts ban what the slow way bans.
    #[test]
    fn tokens_are_banned_exactly_if_the_text_would_lose_its_form() {
        let schema: Json = serde_json::from_str(
            r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}, "né": {"enum": [1, 12, "x"]}}}"#,
        )
        .unwrap();
        let grammar = Arc::new(Grammar::of(&schema, "schema").unwrap());
        let pieces = [
            "{", "\"", "name", "né", "na", "n", "ab", "abc", "abcd", "\\u00", "e9", "\\", "}", "\":", " ", "1", "12",
            "2}", "",
        ];
        let tokens: Vec<TokenBytes> = pieces
            .iter()
            .map(|piece| piece.as_bytes().to_vec())
            .chain([vec![0xC3], vec![0xA9]])
            .map(TokenBytes::from)
            .collect();
        for format in [Format::Json, Format::Schema(grammar)] {
            for text in ["", "{", "{\"", "{\"n", "{\"name\": \"", "{\"name\":\"ab", "{\"n\u{e9}\":", "{\"n\u{e9}\":1"] {
                let state = FormState::start(&format).unwrap();
                let Some(state) = (if text.is_empty() { Some(state) } else { state.after_bytes(text.as_bytes()) })
                else {
                    panic!("{text} is a start of {format:?}");
                };
                let mut scores = vec![0.0; tokens.len()];
                state.ban(&mut scores, &tokens);
                for (score, token) in scores.iter().zip(&tokens) {
                    assert_eq!(*score == 0.0, state.after(token).is_some(), "{text} {token:?}");
                }
            }
        }
    }
}
