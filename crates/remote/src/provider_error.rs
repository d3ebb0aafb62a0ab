//! Errors of calls to providers.

use std::io;

use stepwell_base::json::JsonError;

/// A call to a provider that gave no usable answer. None of these says what the call did.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("answer {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the answer to `{call}` makes no sense: {why}")]
    Malformed { call: &'static str, why: String },
    #[error("the answer to `{call}`")]
    Json { call: &'static str, source: JsonError },
    #[error("`{program}` {why}")]
    Program { program: String, why: String },
    #[error("the provider has no host type `{0}`")]
    UnknownHostType(String),
    #[error("no `{0}` is free at the moment{at}", at = .1.as_ref().map(|region| format!(" in `{region}`")).unwrap_or_default())]
    NoCapacity(String, Option<String>),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ProviderError {
    pub fn hint(&self) -> Option<String> {
        match self {
            ProviderError::Refused { status: 401 | 403, .. } => {
                Some("check `key` of the provider in stepwell.toml: the provider does not accept it".to_owned())
            }
            ProviderError::Refused { status: 402, .. } => Some("check the balance of the account".to_owned()),
            ProviderError::Refused { status: 429, .. } => {
                Some("the provider wants fewer calls: wait a minute".to_owned())
            }
            ProviderError::UnknownHostType(_) => Some("the provider's own list of types has the names".to_owned()),
            ProviderError::NoCapacity(..) => {
                Some("choose another `--type` or `--region`, or try again later".to_owned())
            }
            _ => None,
        }
    }
}
