//! Tokens, sessions and login codes.

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{TokenKind, TokenRow};

impl Reader {
    /// The row of a secret with this hash, valid or not.
    pub fn token(&self, hash: &str) -> Result<Option<TokenRow>, StoreError> {
        self.query(|connection| first(connection, "SELECT * FROM token WHERE hash = ?1", [hash]))
    }

    /// All rows of a kind, oldest first.
    pub fn tokens(&self, kind: TokenKind) -> Result<Vec<TokenRow>, StoreError> {
        let sql = "SELECT * FROM token WHERE kind = ?1 ORDER BY created_at, hash";
        self.query(|connection| collect(connection, sql, [kind.as_str()]))
    }
}
