//! Scopes of tokens: reading, asking models, running, administration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Rights of a token. [`Scope::allows`] says which includes which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Use the routes of OpenAI's API: models, completions, files and batches. Neither look at runs nor start any.
    Infer,
    /// Submit and steer runs, which is to run any command as the user of the server.
    Run,
    /// Give and revoke tokens.
    Admin,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a scope: there are `read`, `infer`, `run` and `admin`")]
pub struct UnknownScope(String);

impl Scope {
    pub const NAMES: [&str; 4] = ["read", "infer", "run", "admin"];
    /// Scopes of people in front of the page.
    pub const NAMES_FOR_BROWSERS: [&str; 3] = ["read", "run", "admin"];

    /// True if a token of this scope may do what needs another. Neither of `read` and `infer` includes the other.
    pub fn allows(self, needed: Scope) -> bool {
        self == needed
            || match self {
                Scope::Admin => true,
                Scope::Run => needed != Scope::Admin,
                Scope::Read | Scope::Infer => false,
            }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Infer => "infer",
            Scope::Run => "run",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Scope, UnknownScope> {
        let all = [Scope::Read, Scope::Infer, Scope::Run, Scope::Admin];
        all.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_includes_smaller_ones_and_neither_of_two_beside_each_other() {
        let all = Scope::NAMES.map(|name| name.parse::<Scope>().unwrap());
        let allowed = all.map(|scope| all.map(|needed| scope.allows(needed)));
        let expected = [
            [true, false, false, false],
            [false, true, false, false],
            [true, true, true, false],
            [true, true, true, true],
        ];
        assert_eq!(allowed, expected);
    }
}
