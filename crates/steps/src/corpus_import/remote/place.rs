//! Tells sources on servers from paths, and says who may see a token.

use schemars::JsonSchema;
use serde::Deserialize;

use super::hub::HubPath;
use super::url::Url;
use stepwell_base::failure::Failure;
use stepwell_base::secret::{Secret, SecretSource};

/// Where the token of a server is read. It is never stored: the step's key has the name of its source only.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Token {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}

impl Token {
    /// # Errors
    /// When there is no value.
    pub fn read(&self) -> Result<String, Failure> {
        let source = match self {
            Token::Env(name) => SecretSource::Env(name.clone()),
            Token::File(path) => SecretSource::File(path.clone()),
        };
        let token = crate::command::read_secret(&Secret { name: "token".to_owned(), source })?;
        if token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(token);
        }
        Err(Failure::fatal("the secret `token` holds characters that a header cannot have")
            .with_hint("a token is one line of letters, digits and signs"))
    }
}

/// A source on a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    Url(Url),
    Hub(HubPath),
}

impl Place {
    /// Reads a source; `None` for one on this machine.
    ///
    /// # Errors
    /// When it starts like an address and is none.
    pub fn parse(source: &str) -> Result<Option<Place>, Failure> {
        let lower = source.get(..8).unwrap_or(source).to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return Url::parse(source).map(|url| Some(Place::Url(url)));
        }
        if lower.starts_with("hf://") {
            return HubPath::parse(source).map(|path| Some(Place::Hub(path)));
        }
        Ok(None)
    }

    /// The server: scheme, host and port, or the hub.
    pub fn server(&self) -> String {
        match self {
            Place::Url(url) => url.text.splitn(4, '/').take(3).collect::<Vec<_>>().join("/").to_ascii_lowercase(),
            Place::Hub(_) => "hf://".to_owned(),
        }
    }

    /// Checksum or revision that fixes the content, for the step's key.
    pub fn pinned(&self) -> String {
        match self {
            Place::Url(url) => url.sha256.clone().unwrap_or_else(|| "not pinned".to_owned()),
            Place::Hub(path) => path.revision.clone(),
        }
    }
}
