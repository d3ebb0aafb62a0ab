//! `stepwell remote audit`

use clap::Args;
use serde_json::{Value, json};

use crate::drive::rented::Desk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;
use stepwell_base::error_chain::error_chain;
use stepwell_remote::{Instance, Phase, orphans};

/// List instances with Stepwell's tag that no record owns; exits with 3 if there are any
///
/// Asks every provider of the settings. Such an instance is billed and nobody looks after it here: it may belong to another
/// state directory, or be left from a lost one.
#[derive(Args, Debug)]
pub struct AuditArgs {}

pub fn audit(session: &Session, _: &AuditArgs) -> Result<Exit, CliError> {
    let desk = Desk::open(session)?;
    let records = desk.all()?;
    let mut rows = Vec::new();
    let mut found: Vec<Value> = Vec::new();
    let mut silent: Vec<Value> = Vec::new();
    let mut asked = 0;
    for account in desk.accounts() {
        asked += 1;
        match desk.provider(account)?.list() {
            Ok(listed) => {
                let ours: Vec<_> =
                    records.iter().filter(|machine| machine.plan.provider == account.name).cloned().collect();
                for instance in orphans(&listed.value, &ours) {
                    rows.push(cells(&account.name, instance));
                    found.push(form(&account.name, instance));
                }
            }
            Err(error) => {
                let why = error_chain(&error);
                session.out.message(&format!("warning: {} could not be asked: {why}", account.name));
                silent.push(json!({ "provider": account.name, "why": why }));
            }
        }
    }
    if asked == 0 {
        desk.account(None)?;
    }
    let human = match rows.is_empty() {
        true if silent.is_empty() => "every instance with Stepwell's tag has its record".to_owned(),
        true => "the providers that answered have no instance without a record".to_owned(),
        false => format!(
            "{}\nNo record of this state directory owns them, and they are billed. End them at the provider if nobody else does.",
            table(&["provider", "instance", "name", "phase", "since", "price"], rows)
        ),
    };
    let is_clean = found.is_empty() && silent.is_empty();
    session.out.document(&human, json!({ "orphans": found, "unanswered": silent }))?;
    Ok(if is_clean { Exit::Ok } else { Exit::Failed })
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
    }
}

fn cells(provider: &str, instance: &Instance) -> Vec<String> {
    vec![
        provider.to_owned(),
        instance.id.to_string(),
        instance.name.clone(),
        phase(instance.phase).to_owned(),
        instance.started_at.map(super::shown::time).unwrap_or_default(),
        instance.price.map(|price| price.to_string()).unwrap_or_default(),
    ]
}

fn form(provider: &str, instance: &Instance) -> Value {
    json!({
        "provider": provider,
        "instance": instance.id,
        "name": instance.name,
        "phase": phase(instance.phase),
        "started_at": instance.started_at,
        "price_microdollars_per_hour": instance.price,
    })
}
