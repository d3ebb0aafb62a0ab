//! Providers as the settings name them.

use crate::error::CliError;
use stepwell_base::secret::Secret;
use stepwell_config::{RemoteAccount, RemoteKind};
use stepwell_remote::providers::{Access, CommandProvider, Http, Lambda, RunPod, Vast};
use stepwell_remote::{Limits, Provider};
use stepwell_steps::{own_binary, read_secret};

/// The client of an account. Its key is read here, and nowhere else.
pub(super) fn provider(account: &RemoteAccount) -> Result<Box<dyn Provider>, CliError> {
    let name = format!("remote.{}.key", account.name);
    let key = account.key.as_ref().map(|source| read_secret(&Secret { name, source: source.clone() })).transpose()?;
    let http = |standard: &str| {
        let url = account.url.clone().unwrap_or_else(|| standard.to_owned());
        Http::new(Access { url, key: key.clone().unwrap_or_default(), timeout: account.timeout })
    };
    Ok(match account.kind {
        RemoteKind::Lambda => Box::new(Lambda { http: http(Lambda::URL), ssh_keys: account.ssh_keys.clone() }),
        RemoteKind::RunPod => Box::new(RunPod { http: http(RunPod::URL), prices: http(RunPod::PRICES_URL) }),
        RemoteKind::Vast => Box::new(Vast { http: http(Vast::URL) }),
        RemoteKind::Command => {
            Box::new(CommandProvider { argv: account.program.clone(), key, timeout: account.timeout })
        }
        RemoteKind::Mock => {
            let program = own_binary().map_err(|error| CliError::internal("find this program", error))?;
            let folder = account.folder.clone().unwrap_or_default();
            let words = [program.as_path(), "remote".as_ref(), "mock".as_ref(), folder.as_path()];
            let argv = words.iter().map(|word| word.display().to_string()).collect();
            Box::new(CommandProvider { argv, key, timeout: account.timeout })
        }
    })
}

pub(super) fn limits(account: &RemoteAccount) -> Limits {
    Limits { settle: account.settle, poll: account.poll, boot: account.boot_timeout, ..Limits::default() }
}
