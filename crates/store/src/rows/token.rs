//! Rows of tokens, sessions and login codes.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::scope::Scope;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// The secret that a row stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Sent by scripts with every request.
    Token,
    /// The cookie of a browser.
    Session,
    /// Logs one browser in, once.
    Code,
}

impl TokenKind {
    pub fn as_str(self) -> &'static str {
        match self {
            TokenKind::Token => "token",
            TokenKind::Session => "session",
            TokenKind::Code => "code",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// BLAKE3 of the secret, in hexadecimal digits.
    pub hash: String,
    pub kind: TokenKind,
    pub name: String,
    pub scope: Scope,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Last use, to the hour.
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// The start of the hash, by which people name a token.
    pub fn id(&self) -> &str {
        self.hash.get(..12).unwrap_or(&self.hash)
    }

    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| at < expires)
    }
}

columns! {
    pub(crate) struct TokenColumns { hash, kind, name, scope, created_at, expires_at, used_at, revoked_at }
}

impl FromRow for TokenRow {
    type Columns = TokenColumns;

    fn from_row(row: &Row<'_>, columns: &TokenColumns) -> Result<TokenRow, StoreError> {
        let kind = match columns.kind.text(row)? {
            "token" => TokenKind::Token,
            "session" => TokenKind::Session,
            "code" => TokenKind::Code,
            other => return Err(columns.kind.undecodable(format!("unknown kind `{other}`"))),
        };
        Ok(TokenRow {
            hash: columns.hash.get(row)?,
            kind,
            name: columns.name.get(row)?,
            scope: columns.scope.text(row)?.parse().map_err(|error| columns.scope.undecodable(error))?,
            created_at: columns.created_at.get(row)?,
            expires_at: columns.expires_at.get(row)?,
            used_at: columns.used_at.get(row)?,
            revoked_at: columns.revoked_at.get(row)?,
        })
    }
}
