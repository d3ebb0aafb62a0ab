//! Scopes of tokens: reading, running, administration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A scope includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Submit and steer runs, which is to run any command as the user of the server.
    Run,
    /// Give and revoke tokens.
    Admin,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a scope: there are `read`, `run` and `admin`")]
pub struct UnknownScope(String);

impl Scope {
    pub const NAMES: [&str; 3] = ["read", "run", "admin"];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Run => "run",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Scope, UnknownScope> {
        let all = [Scope::Read, Scope::Run, Scope::Admin];
        all.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
