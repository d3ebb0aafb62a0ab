//! Log-probabilities in the two shapes of the API.

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};

/// Stands for minus infinity, which JSON cannot say; OpenAI's number.
const NEVER: f32 = -9999.0;

/// A token and its log-probability, which the first token of a prompt does not have.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TokenLogprob {
    #[serde(rename = "t")]
    pub token: String,
    /// Bytes of the token, which may be part of a character.
    #[serde(rename = "b")]
    pub bytes: Vec<u8>,
    #[serde(rename = "p")]
    pub logprob: Option<f32>,
    /// The likeliest tokens, likeliest first.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TokenLogprob>,
}

/// A token of a prompt, or one that is likelier at its place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromptLogprob {
    #[serde(rename = "i")]
    pub id: u32,
    #[serde(rename = "t")]
    pub token: String,
    #[serde(rename = "p")]
    pub logprob: f32,
    /// Place among all tokens, from 1.
    #[serde(rename = "r")]
    pub rank: u32,
}

/// Log-probabilities of a prompt in the shape of vLLM: a map by token id for each token, null for the first one.
pub(super) struct PromptLogprobs<'a>(pub &'a [Vec<PromptLogprob>]);

impl Serialize for PromptLogprobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|place| (!place.is_empty()).then_some(PromptPlace(place))))
    }
}

struct PromptPlace<'a>(&'a [PromptLogprob]);

impl Serialize for PromptPlace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            logprob: f32,
            rank: u32,
            decoded_token: &'a str,
        }
        let mut map = serializer.serialize_map(None)?;
        for (index, token) in self.0.iter().enumerate() {
            // The token of the prompt comes first, and may be among the likeliest ones, too.
            if index == 0 || token.id != self.0[0].id {
                let logprob = if token.logprob.is_finite() { token.logprob.max(NEVER) } else { NEVER };
                let entry = Entry { logprob, rank: token.rank, decoded_token: &token.token };
                map.serialize_entry(&token.id.to_string(), &entry)?;
            }
        }
        map.end()
    }
}

impl TokenLogprob {
    fn shown(&self) -> Option<f32> {
        self.logprob.map(|logprob| if logprob.is_finite() { logprob.max(NEVER) } else { NEVER })
    }
}

/// Log-probabilities of a choice, as one of the endpoints shows them.
pub enum Logprobs<'a> {
    Chat(&'a [TokenLogprob]),
    Completion(&'a [TokenLogprob]),
}

impl Serialize for Logprobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Logprobs::Chat(tokens) => {
                let mut object = serializer.serialize_struct("logprobs", 2)?;
                object.serialize_field("content", &tokens.iter().map(ChatToken::full).collect::<Vec<_>>())?;
                object.serialize_field("refusal", &None::<()>)?;
                object.end()
            }
            Logprobs::Completion(tokens) => {
                let mut object = serializer.serialize_struct("logprobs", 4)?;
                let mut at = 0_usize;
                let offsets: Vec<usize> = tokens
                    .iter()
                    .map(|token| {
                        let offset = at;
                        at += token.token.chars().count();
                        offset
                    })
                    .collect();
                object.serialize_field("text_offset", &offsets)?;
                object
                    .serialize_field("token_logprobs", &tokens.iter().map(TokenLogprob::shown).collect::<Vec<_>>())?;
                object.serialize_field("tokens", &tokens.iter().map(|token| &token.token).collect::<Vec<_>>())?;
                object.serialize_field("top_logprobs", &tokens.iter().map(Top).collect::<Vec<_>>())?;
                object.end()
            }
        }
    }
}

/// The likeliest tokens of a place as a map, or null where there are none.
struct Top<'a>(&'a TokenLogprob);

impl Serialize for Top<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.logprob.is_none() {
            return serializer.serialize_none();
        }
        let mut map = serializer.serialize_map(None)?;
        let mut seen: Vec<&str> = Vec::new();
        // Tokens that are parts of characters can have equal texts; the likeliest stays.
        for token in &self.0.top {
            if !seen.contains(&token.token.as_str()) {
                seen.push(&token.token);
                map.serialize_entry(&token.token, &token.shown())?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct ChatToken<'a> {
    token: &'a str,
    logprob: Option<f32>,
    bytes: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<Vec<ChatToken<'a>>>,
}

impl ChatToken<'_> {
    fn short(token: &TokenLogprob) -> ChatToken<'_> {
        ChatToken { token: &token.token, logprob: token.shown(), bytes: &token.bytes, top_logprobs: None }
    }

    fn full(token: &TokenLogprob) -> ChatToken<'_> {
        let top = token.top.iter().map(ChatToken::short).collect();
        ChatToken { top_logprobs: Some(top), ..ChatToken::short(token) }
    }
}
