//! Stores who may use the server. Any process may write it, also while an engine runs.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::store::Store;
use crate::decode::{collect, first, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::{TokenKind, TokenRow};

impl Store {
    /// Adds a token, a session or a code. Sessions and codes that have expired are removed at this occasion.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn add_token(&mut self, token: &TokenRow) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            remove_expired(transaction, token.created_at)?;
            insert(transaction, token)
        })
    }

    /// Exchanges a valid code for a session, whose scope and name are those of the code; `None` if there is no such code.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn redeem_code(
        &mut self,
        code: &str,
        session: &str,
        (at, expires_at): (Timestamp, Timestamp),
    ) -> Result<Option<TokenRow>, StoreError> {
        self.write(1, |transaction, _| {
            let found: Option<TokenRow> = first(transaction, "SELECT * FROM token WHERE hash = ?1", [code])?;
            let Some(code) = found.filter(|found| found.kind == TokenKind::Code && found.is_valid(at)) else {
                return Ok(None);
            };
            set_revoked(transaction, &code.hash, at)?;
            let session = TokenRow {
                hash: session.to_owned(),
                kind: TokenKind::Session,
                created_at: at,
                expires_at: Some(expires_at),
                used_at: Some(at),
                ..code
            };
            insert(transaction, &session)?;
            Ok(Some(session))
        })
    }

    /// Revokes a token, a session or a code; false if there is no such row that is valid.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn revoke_token(&mut self, hash: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write(1, |transaction, _| set_revoked(transaction, hash, at))
    }

    /// Revokes all codes, because somebody guesses.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn revoke_codes(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            let sql = "SELECT hash FROM token WHERE kind = 'code' AND revoked_at IS NULL";
            for hash in collect::<String>(transaction, sql, [])? {
                set_revoked(transaction, &hash, at)?;
            }
            Ok(())
        })
    }

    /// Notes a use.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn note_use_of_token(&mut self, hash: &str, at: Timestamp) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            let sql = "UPDATE token SET used_at = ?2 WHERE hash = ?1";
            seal::change(transaction, row(&hash), sql, params![hash, time_text(at)])?;
            Ok(())
        })
    }
}

fn row<'k>(hash: &'k &str) -> Rows<'k> {
    Rows { table: "token", column: "hash", key: hash }
}

fn insert(connection: &Connection, token: &TokenRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO token (hash, kind, name, scope, created_at, expires_at, used_at, revoked_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        token.hash,
        token.kind.as_str(),
        token.name,
        token.scope.as_str(),
        time_text(token.created_at),
        token.expires_at.map(time_text),
        token.used_at.map(time_text),
        token.revoked_at.map(time_text),
    ];
    seal::change(connection, row(&token.hash.as_str()), sql, values)?;
    Ok(())
}

fn set_revoked(connection: &Connection, hash: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE token SET revoked_at = ?2 WHERE hash = ?1 AND revoked_at IS NULL";
    Ok(seal::change(connection, row(&hash), sql, params![hash, time_text(at)])? > 0)
}

fn remove_expired(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT hash FROM token WHERE kind <> 'token' AND (expires_at < ?1 OR revoked_at IS NOT NULL) LIMIT 100";
    for hash in collect::<String>(connection, sql, [time_text(now)])? {
        let sql = "DELETE FROM token WHERE hash = ?1";
        seal::change(connection, row(&hash.as_str()), sql, [&hash])?;
    }
    Ok(())
}
