//! Makes tokens and login codes.

use jiff::{SignedDuration, Timestamp};

use super::secret::NewSecret;
use stepwell_base::scope::Scope;
use stepwell_store::{Store, StoreError, TokenKind, TokenRow};

/// Time for which a login code can be used.
pub const CODE_LASTS: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a code with which one browser can log in once.
///
/// # Errors
/// When the system gives no randomness, or the database cannot be written.
pub fn issue_code(store: &mut Store, name: &str, scope: Scope) -> Result<NewSecret, IssueError> {
    let secret = NewSecret::code().map_err(IssueError::Random)?;
    let now = Timestamp::now();
    store.add_token(&row(&secret, TokenKind::Code, (name, scope), (now, Some(now + CODE_LASTS))))?;
    Ok(secret)
}

/// Makes a token.
///
/// # Errors
/// When the system gives no randomness, or the database cannot be written.
pub fn issue_token(
    store: &mut Store,
    name: &str,
    scope: Scope,
    expires_at: Option<Timestamp>,
) -> Result<NewSecret, IssueError> {
    let secret = NewSecret::token().map_err(IssueError::Random)?;
    store.add_token(&row(&secret, TokenKind::Token, (name, scope), (Timestamp::now(), expires_at)))?;
    Ok(secret)
}

fn row(
    secret: &NewSecret,
    kind: TokenKind,
    (name, scope): (&str, Scope),
    (created_at, expires_at): (Timestamp, Option<Timestamp>),
) -> TokenRow {
    TokenRow {
        hash: secret.hash.clone(),
        kind,
        name: name.to_owned(),
        scope,
        created_at,
        expires_at,
        used_at: None,
        revoked_at: None,
    }
}
