//! What the verbs do with machines: find one, work on it under its lock, reach into it.

use std::path::PathBuf;

use super::account;
use super::ledger::Ledger;
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::suggest;
use stepwell_config::RemoteAccount;
use stepwell_remote::{Keeper, Machine, MachineLock, PREFIX, Plan, Provider, RemoteError, Shell, SystemClock};
use stepwell_store::{MachineRow, Store};

/// Newest machines that `status --all` shows and `audit` compares.
const MOST: u32 = 1000;

pub struct Desk<'s> {
    session: &'s Session,
    ledger: Ledger,
}

impl<'s> Desk<'s> {
    pub fn open(session: &'s Session) -> Result<Desk<'s>, CliError> {
        Ok(Desk { session, ledger: Ledger::new(Store::open(session.state_dir())?) })
    }

    /// The account with this name, or the only one.
    pub fn account(&self, name: Option<&str>) -> Result<&'s RemoteAccount, CliError> {
        let accounts = &self.session.settings.remotes.value;
        match (name, &accounts[..]) {
            (_, []) => Err(CliError::not_found("the settings name no provider of machines").hint(
                "write `[remote.NAME]` into stepwell.toml, and below it `provider = \"lambda\"` and `key = { env = \"LAMBDA_API_KEY\" }`",
            )),
            (None, [only]) => Ok(only),
            (None, _) => Err(CliError::usage("the settings name several providers").hint("choose one with `--provider`")),
            (Some(name), _) => accounts.iter().find(|account| account.name == name).ok_or_else(|| {
                let known: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
                CliError::not_found(format!("there is no provider `{name}` in the settings"))
                    .hint(suggest::hint(name, "providers", known))
            }),
        }
    }

    pub fn accounts(&self) -> &'s [RemoteAccount] {
        &self.session.settings.remotes.value
    }

    pub fn provider(&self, account: &RemoteAccount) -> Result<Box<dyn Provider>, CliError> {
        account::provider(account)
    }

    pub fn plan(&mut self, plan: &Plan) -> Result<(), CliError> {
        self.ledger.plan(plan, plan.created_at)
    }

    /// Machines that may cost money, oldest first.
    pub fn billed(&self) -> Result<Vec<Machine>, CliError> {
        let machines = self.machines(&self.ledger.reader().open_machines()?)?;
        Ok(machines.into_iter().filter(|machine| machine.state.may_be_billed()).collect())
    }

    /// All machines, newest first.
    pub fn all(&self) -> Result<Vec<Machine>, CliError> {
        self.machines(&self.ledger.reader().machines(MOST)?)
    }

    fn machines(&self, rows: &[MachineRow]) -> Result<Vec<Machine>, CliError> {
        rows.iter().map(|row| self.ledger.machine(row)).collect()
    }

    /// The machine whose key is or starts with `selector`, with or without the prefix of all keys.
    pub fn find(&self, selector: &str) -> Result<Machine, CliError> {
        let start = if selector.starts_with(PREFIX) { selector.to_owned() } else { format!("{PREFIX}{selector}") };
        match &self.ledger.reader().machines_named(&start)?[..] {
            [row] => self.ledger.machine(row),
            [] => Err(CliError::not_found(format!("there is no machine `{selector}`"))
                .hint("`stepwell remote status --all` lists all machines")),
            _ => {
                Err(CliError::usage(format!("`{selector}` is the start of several machines")).hint("give more digits"))
            }
        }
    }

    /// The machine whose plan has this digest.
    pub fn planned_as(&self, digest: &str) -> Result<Machine, CliError> {
        match self.ledger.reader().machine_planned_as(digest)? {
            Some(row) => self.ledger.machine(&row),
            None => Err(CliError::not_found(format!("no plan has the digest `{digest}`"))
                .hint("`stepwell remote plan` makes one and prints its digest")),
        }
    }

    /// Works on a machine under its lock, from its newest state.
    pub fn keep<T>(
        &mut self,
        machine: &mut Machine,
        work: impl FnOnce(&mut Keeper<'_>, &mut Machine) -> Result<T, RemoteError>,
    ) -> Result<T, CliError> {
        let account = self.account(Some(&machine.plan.provider))?;
        let provider = account::provider(account)?;
        let key = machine.plan.key.clone();
        let _lock = MachineLock::take(&self.folder(), &key)?;
        if let Some(row) = self.ledger.reader().machine(key.as_str())? {
            *machine = self.ledger.machine(&row)?;
        }
        let out = &self.session.out;
        let mut tell = |text: &str| out.message(&format!("{key}: {text}"));
        let mut keeper = Keeper {
            provider: &*provider,
            journal: &mut self.ledger,
            clock: &SystemClock,
            limits: account::limits(account),
            tell: &mut tell,
        };
        Ok(work(&mut keeper, machine)?)
    }

    /// A shell on a machine; `None` while it has no address.
    pub fn shell(&self, machine: &Machine) -> Result<Option<Shell>, CliError> {
        let Some(address) = &machine.address else { return Ok(None) };
        let account = self.account(Some(&machine.plan.provider))?;
        let known_hosts = self.folder().join("known_hosts");
        let shell = Shell::new(&machine.plan.key, address, &known_hosts, account.identity.as_deref());
        Ok(Some(shell.map_err(RemoteError::from)?))
    }

    /// Locks, host keys and copies of all machines.
    fn folder(&self) -> PathBuf {
        self.session.state_dir().join("remote")
    }

    /// Copies of a machine's files.
    pub fn copies(&self, machine: &Machine) -> PathBuf {
        self.folder().join(machine.plan.key.as_str())
    }
}
