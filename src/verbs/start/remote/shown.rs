//! Machines and plans for people and scripts.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::view::output::{bytes, duration, grid};
use stepwell_remote::{Alert, GoneWhy, Machine, Plan, Preflight, State};

pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

pub(super) fn plan_text(plan: &Plan, call: &str) -> String {
    let mut rows = vec![
        vec!["machine".to_owned(), plan.key.to_string()],
        vec!["provider".to_owned(), plan.provider.clone()],
        vec!["host type".to_owned(), plan.host_type.clone()],
        vec!["region".to_owned(), plan.region.clone().unwrap_or_else(|| "any".to_owned())],
        vec!["command".to_owned(), plan.command.clone()],
        vec!["price".to_owned(), plan.price.to_string()],
        vec![
            "estimated".to_owned(),
            format!("{} for {}", plan.estimated_cost, duration(plan.estimated_ms as f64 / 1e3)),
        ],
        vec!["maximum".to_owned(), maximum(plan)],
    ];
    let mut sent: Vec<String> = plan
        .sync
        .up
        .iter()
        .map(|upload| format!("{} as {} ({})", upload.from, upload.to, bytes(upload.bytes)))
        .collect();
    if sent.is_empty() {
        sent.push("nothing".to_owned());
    }
    for (number, line) in sent.into_iter().enumerate() {
        rows.push(vec![if number == 0 { "copied there" } else { "" }.to_owned(), line]);
    }
    rows.push(vec!["copied back".to_owned(), plan.sync.down.join(", ")]);
    let preflight = match &plan.preflight {
        Preflight::Passed { commands } => format!("passed: {}", commands.join("; ")),
        Preflight::Skipped => "skipped".to_owned(),
    };
    rows.push(vec!["preflight".to_owned(), preflight]);
    rows.push(vec!["call".to_owned(), call.to_owned()]);
    rows.push(vec!["expires".to_owned(), time(plan.expires_at)]);
    grid(rows)
}

/// What happens at the maximum cost.
fn maximum(plan: &Plan) -> String {
    let at = plan.price.lasts(plan.maximum_cost).map(|time| format!(" after {}", duration(time.as_secs_f64())));
    let first = if plan.checkpoint.is_some() { "checkpoint, copy back, and ask" } else { "copy back and ask" };
    format!("{}{}: then {first}", plan.maximum_cost, at.unwrap_or_default())
}

/// The state with what a person needs to know about it.
pub(super) fn state_text(machine: &Machine) -> String {
    match &machine.state {
        State::Unreachable { why } => format!("unreachable ({why}); billed as before"),
        State::Terminating { requests } => format!("terminating, asked {requests} times; billed until it is gone"),
        State::Intent => "launch not confirmed by the provider; it may be billed".to_owned(),
        State::Gone { why: GoneWhy::NotCreated } => "not created".to_owned(),
        State::Gone { why: GoneWhy::Lost } => "gone; nobody here ended it".to_owned(),
        State::Gone { why: GoneWhy::Terminated } => "terminated".to_owned(),
        State::Running if machine.exit.is_some() => "running, its command has ended".to_owned(),
        State::Planned | State::Launching | State::Running => machine.state.as_str().to_owned(),
    }
}

pub(super) fn machine_json(machine: &Machine) -> Value {
    let plan = &machine.plan;
    json!({
        "key": plan.key,
        "provider": plan.provider,
        "host_type": plan.host_type,
        "command": plan.command,
        "state": machine.state.as_str(),
        "gone": match &machine.state { State::Gone { why } => Some(why.as_str()), _ => None },
        "may_be_billed": machine.state.may_be_billed(),
        "why": match &machine.state { State::Unreachable { why } => Some(why), _ => None },
        "instance": machine.instance,
        "address": machine.address,
        "price_microdollars_per_hour": machine.price,
        "cost_cents": machine.cost(),
        "estimated_cost_cents": plan.estimated_cost,
        "maximum_cost_cents": plan.maximum_cost,
        "billed_from": machine.billed_from,
        "billed_until": machine.billed_until,
        "seen_at": machine.seen_at,
        "exit": machine.exit,
        "alerts": machine.alerts.iter().copied().map(Alert::as_str).collect::<Vec<_>>(),
        "digest": plan.digest(),
        "events": machine.version,
    })
}
