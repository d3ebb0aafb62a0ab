//! The tokens and sessions of the database, with a short memory: a request of a known token needs no query.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::identity::Identity;
use super::secret::{NewSecret, Secret};
use crate::problem::Problem;
use stepwell_base::scope::Scope;
use stepwell_store::{Reader, Store, TokenKind, TokenRow};

/// Time for which a lookup is remembered; a token that another process revokes works for as long.
const REMEMBERED: Duration = Duration::from_secs(1);
const MOST_REMEMBERED: usize = 4096;
/// A use is noted once in this time.
const NOTED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Time for which a browser stays logged in.
const SESSION_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Wrong codes after which no code that was made before can be used any more.
const MOST_WRONG_CODES: u32 = 5;

/// A failed login.
#[derive(Debug)]
pub enum LoginError {
    /// No such code or token, or one that no longer holds.
    Wrong,
    Other(Problem),
}

#[derive(Debug, Default)]
pub struct Keyring {
    wrong_codes: AtomicU32,
    remembered: Mutex<HashMap<String, (Option<TokenRow>, Instant)>>,
}

impl Keyring {
    /// What the memory has about a secret: outer `None` if the database must be asked.
    pub fn remembered(&self, secret: &Secret, kind: TokenKind) -> Option<Option<Identity>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (row, since) = remembered.get(&secret.hash())?;
        (since.elapsed() < REMEMBERED).then(|| valid(row.as_ref(), kind))
    }

    /// Asks the database, and notes the use once an hour.
    pub fn look_up(&self, reader: &Reader, secret: &Secret, kind: TokenKind) -> Result<Option<Known>, Problem> {
        let row = reader.token(&secret.hash())?;
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        // Unknown secrets are not remembered: anybody can send any number of them.
        if row.is_some() {
            remembered.insert(secret.hash(), (row.clone(), Instant::now()));
        }
        drop(remembered);
        let is_stale = row
            .as_ref()
            .is_some_and(|row| row.used_at.is_none_or(|used| Timestamp::now().duration_since(used) > NOTED_EVERY));
        Ok(valid(row.as_ref(), kind).map(|identity| Known { identity, is_stale }))
    }

    /// Exchanges a code or a token for a new session.
    ///
    /// # Errors
    /// `Wrong`.
    pub fn log_in(&self, store: &mut Store, secret: &Secret) -> Result<NewSecret, LoginError> {
        let other = |error| LoginError::Other(error);
        let session = NewSecret::session().map_err(|error| other(Problem::internal("making a session", &error)))?;
        let now = Timestamp::now();
        let expires_at = now + SESSION_LASTS;
        let made = if secret.is_token() {
            let row = store.reader().token(&secret.hash()).map_err(|error| other(error.into()))?;
            let valid = row.filter(|row| row.kind == TokenKind::Token && row.is_valid(now));
            if valid.as_ref().is_some_and(|row| row.scope == Scope::Infer) {
                let detail = "this token is for programs that use `/v1`: it logs no browser in";
                let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", detail);
                return Err(other(problem.hint("`stepwell token code` makes a code for a browser")));
            }
            let row = valid.map(|row| TokenRow {
                hash: session.hash.clone(),
                kind: TokenKind::Session,
                created_at: now,
                expires_at: Some(row.expires_at.map_or(expires_at, |own| own.min(expires_at))),
                used_at: Some(now),
                ..row
            });
            row.map(|row| store.add_token(&row)).transpose().map_err(|error| other(error.into()))?.is_some()
        } else {
            let redeemed = store.redeem_code(&secret.hash(), &session.hash, (now, expires_at));
            redeemed.map_err(|error| other(error.into()))?.is_some()
        };
        if !made {
            return Err(LoginError::Wrong);
        }
        self.wrong_codes.store(0, Ordering::SeqCst);
        Ok(session)
    }

    /// Counts a wrong code. Too many of them revoke those that exist: somebody guesses.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note_wrong_code(&self, store: &mut Store) -> Result<(), Problem> {
        if self.wrong_codes.fetch_add(1, Ordering::SeqCst) + 1 >= MOST_WRONG_CODES {
            self.wrong_codes.store(0, Ordering::SeqCst);
            store.revoke_codes(Timestamp::now())?;
        }
        Ok(())
    }

    /// Forgets a secret, so that its revocation holds at once.
    pub fn forget(&self, hash: &str) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    /// Seconds for which a browser keeps a session.
    pub fn session_seconds(&self) -> i64 {
        SESSION_LASTS.as_secs()
    }
}

/// A valid token or session, and whether its last use is worth noting.
pub struct Known {
    pub identity: Identity,
    pub is_stale: bool,
}

fn valid(row: Option<&TokenRow>, kind: TokenKind) -> Option<Identity> {
    let row = row.filter(|row| row.kind == kind && row.is_valid(Timestamp::now()))?;
    Some(Identity::from(row.clone()))
}
