//! `stepwell doctor`: reports what this machine and build can do, and what is wrong.

use clap::Args;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::bytes;
use stepwell_config::Origin;
use stepwell_store::EngineLock;

/// Report what this machine and build can do
///
/// Shows the processor, the state directory, the engine, slots, pools and devices. Exits with 3 if something is wrong.
#[derive(Args, Debug)]
pub struct DoctorArgs {}

struct Finding {
    name: &'static str,
    sound: bool,
    text: String,
}

pub fn doctor(session: &Session, _: &DoctorArgs) -> Result<Exit, CliError> {
    let mut findings = vec![
        good("version", format!("stepwell {} ({})", env!("CARGO_PKG_VERSION"), build())),
        good("processor", processor()),
        state_dir(session),
        good("engine", engine(session)),
    ];
    findings.extend(limits(session));
    findings.extend(devices());
    let sound = findings.iter().all(|finding| finding.sound);
    let mut text = String::new();
    for Finding { name, sound, text: line } in &findings {
        text.push_str(&format!("{:<4} {name:<16} {line}\n", if *sound { "ok" } else { "BAD" }));
    }
    let values: Vec<Value> = findings
        .iter()
        .map(|finding| json!({ "name": finding.name, "ok": finding.sound, "text": finding.text }))
        .collect();
    session.out.document(&text, json!({ "ok": sound, "findings": values }))?;
    Ok(if sound { Exit::Ok } else { Exit::Failed })
}

fn good(name: &'static str, text: String) -> Finding {
    Finding { name, sound: true, text }
}

/// Slots, and the pools and rate limits that are set.
fn limits(session: &Session) -> Vec<Finding> {
    let (pools, rates) = (session.settings.describe_pools(), session.settings.describe_rate_limits());
    let named = [("pools", pools), ("rate limits", rates)];
    let slots = &session.settings.slots;
    let why = match slots.origin {
        Origin::Default => "one per core, or one per device of a pool if those are more".to_owned(),
        ref set => set.to_string(),
    };
    let mut findings = vec![good("slots", format!("{} child processes at a time ({why})", slots.value))];
    findings.extend(named.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| good(name, text)));
    findings
}

fn build() -> String {
    let on: Vec<&str> = stepwell_steps::build_features().into_iter().filter(|name| *name != "train").collect();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let backends = if on.is_empty() { "no training".to_owned() } else { on.join(", ") };
    format!("{profile} build, {backends}, {}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, {}", instruction_sets())
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> &'static str {
    if std::is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        "AVX2"
    } else {
        "neither AVX2 nor FMA: training will be slow"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> &'static str {
    if cfg!(target_arch = "aarch64") { "NEON" } else { std::env::consts::ARCH }
}

fn state_dir(session: &Session) -> Finding {
    let path = session.state_dir();
    let shown = path.display();
    if !path.exists() {
        return good("state directory", format!("{shown} does not exist yet"));
    }
    match tempfile::tempfile_in(path) {
        Ok(_) => good("state directory", format!("{shown} is writable, {} free", free_space(path))),
        Err(error) => {
            Finding { name: "state directory", sound: false, text: format!("{shown} is not writable: {error}") }
        }
    }
}

fn free_space(path: &std::path::Path) -> String {
    match rustix::fs::statvfs(path) {
        Ok(stat) => bytes(stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => format!("unknown ({error})"),
    }
}

fn engine(session: &Session) -> String {
    match EngineLock::holder(session.state_dir()) {
        Some(holder) => format!("running as process {}", holder.pid),
        None => "none is running".to_owned(),
    }
}

#[cfg(feature = "train")]
fn devices() -> Vec<Finding> {
    stepwell_train::device::report()
        .into_iter()
        .filter(|device| device.compiled)
        .map(|device| {
            let state = device.found.map_or_else(|error| error.to_string(), |found| format!("ready, {found}"));
            let auto = if device.chosen { ", what `auto` means here" } else { "" };
            good("device", format!("{}: {state}{auto}", device.name))
        })
        .collect()
}

#[cfg(not(feature = "train"))]
fn devices() -> Vec<Finding> {
    Vec::new()
}
