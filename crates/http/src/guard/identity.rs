//! Who made a request.

use stepwell_base::scope::Scope;
use stepwell_store::{TokenKind, TokenRow};

/// The holder of a valid token or session. Handlers take it with `Extension<Identity>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub hash: String,
    pub kind: TokenKind,
    pub name: String,
    pub scope: Scope,
}

impl From<TokenRow> for Identity {
    fn from(row: TokenRow) -> Identity {
        Identity { hash: row.hash, kind: row.kind, name: row.name, scope: row.scope }
    }
}
