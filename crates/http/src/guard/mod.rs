//! Who may do what: hosts and origins, tokens and sessions, scopes, rates, and headers of every answer.

mod credential;
mod headers;
mod hosts;
mod identity;
mod issue;
mod keyring;
mod layer;
mod rate;
mod secret;

pub use hosts::{HostError, Hosts};
pub use identity::Identity;
pub use issue::{CODE_LASTS, IssueError, issue_code, issue_token};
pub use keyring::{Keyring, LoginError};
pub use layer::{Peer, guard, peer, too_many};
pub use rate::{Allowance, Buckets};
pub use secret::{NewSecret, Secret};
