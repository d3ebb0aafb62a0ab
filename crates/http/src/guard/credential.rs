//! Finds the token or the session of a request.

use axum::http::{HeaderMap, Uri, header};

use super::secret::Secret;
use crate::problem::Problem;
use stepwell_store::TokenKind;

/// Names of query parameters that hold secrets elsewhere. An address ends up in logs and histories, so none is accepted.
const SECRET_NAMES: [&str; 6] = ["token", "access_token", "api_key", "auth", "code", "session"];

/// # Errors
/// When the address has a secret.
pub(super) fn refuse_secrets_in(uri: &Uri) -> Result<(), Problem> {
    let Some(query) = uri.query() else { return Ok(()) };
    let names_secret = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        SECRET_NAMES.contains(&name.to_ascii_lowercase().as_str()) || value.contains("swt_")
    };
    if query.split('&').any(names_secret) {
        return Err(Problem::usage("the address has a token or a code, which would end up in logs").hint(
            "send `Authorization: Bearer TOKEN`; take back a token that was sent so: `stepwell token revoke NAME`",
        ));
    }
    Ok(())
}

/// The token of the header `Authorization`, else the session of our cookie.
///
/// # Errors
/// When the header `Authorization` is not of the form `Bearer TOKEN`.
pub(super) fn credential(headers: &HeaderMap, cookie: &str) -> Result<Option<(Secret, TokenKind)>, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let words = value.to_str().ok().and_then(|text| text.split_once(' '));
        let token = words.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        return match token {
            Some(token) => Ok(Some((Secret::exact(token), TokenKind::Token))),
            None => Err(Problem::new(
                axum::http::StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the header `Authorization` is not `Bearer TOKEN`",
            )),
        };
    }
    Ok(session(headers, cookie).map(|session| (session, TokenKind::Session)))
}

fn session(headers: &HeaderMap, cookie: &str) -> Option<Secret> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie).map(|(_, value)| Secret::exact(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_refused() {
        for address in ["/?token=x", "/a?b=c&ACCESS_TOKEN=x", "/?note=swt_12", "/login?code=ABCD"] {
            assert!(refuse_secrets_in(&address.parse().unwrap()).is_err(), "{address}");
        }
        for address in ["/", "/api/v1/runs?status=failed&tag=token", "/?tokens=1"] {
            assert!(refuse_secrets_in(&address.parse().unwrap()).is_ok(), "{address}");
        }
    }

    #[test]
    fn the_cookie_of_another_port_is_not_ours() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "stepwell-1=a; stepwell-2=b".parse().unwrap());
        let found = |cookie| credential(&headers, cookie).unwrap().map(|(secret, _)| secret);
        assert_eq!(found("stepwell-2"), Some(Secret::exact("b")));
        assert_eq!(found("stepwell-3"), None);
    }
}
