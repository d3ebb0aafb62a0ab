//! `stepwell doctor`: reports what this machine and build can do, and what is wrong.

use clap::Args;
use serde_json::{Value, json};

use crate::drive::shared_disk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::verbs::start::webhook;
use crate::view::output::bytes;
use stepwell_config::Origin;
use stepwell_store::EngineLock;
use stepwell_workflow::pools::Demand;

/// Report what this machine and build can do
///
/// Shows the processor, the state directory and its file system, the engine, slots, pools and devices. Exits with 3 if
/// something is wrong.
#[derive(Args, Debug)]
pub struct DoctorArgs {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, but a person should know.
    Doubtful,
    Bad,
}

struct Finding {
    name: &'static str,
    verdict: Verdict,
    text: String,
}

pub fn doctor(session: &Session, _: &DoctorArgs) -> Result<Exit, CliError> {
    let mut findings = vec![
        good("version", format!("stepwell {} ({})", env!("CARGO_PKG_VERSION"), build())),
        good("processor", processor()),
        state_dir(session),
    ];
    findings.extend(file_system(session));
    findings.push(good("engine", engine(session)));
    findings.extend(limits(session));
    findings.extend(webhooks(session));
    findings.extend(devices());
    let sound = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    let text: String = findings.iter().map(line).collect();
    let values: Vec<Value> = findings
        .iter()
        .map(|Finding { name, verdict, text }| {
            let (ok, warning) = (*verdict != Verdict::Bad, *verdict == Verdict::Doubtful);
            json!({ "name": name, "ok": ok, "warning": warning, "text": text })
        })
        .collect();
    session.out.document(&text, json!({ "ok": sound, "findings": values }))?;
    Ok(if sound { Exit::Ok } else { Exit::Failed })
}

fn good(name: &'static str, text: String) -> Finding {
    Finding { name, verdict: Verdict::Good, text }
}

fn line(Finding { name, verdict, text }: &Finding) -> String {
    let verdict = match verdict {
        Verdict::Good => "ok",
        Verdict::Doubtful => "WARN",
        Verdict::Bad => "BAD",
    };
    format!("{verdict:<4} {name:<16} {text}\n")
}

/// Nothing for a local disk.
fn file_system(session: &Session) -> Option<Finding> {
    let system = shared_disk::network_file_system(session.state_dir())?;
    let text = format!("{}; {}", shared_disk::danger(&system), shared_disk::ADVICE);
    Some(Finding { name: "file system", verdict: Verdict::Doubtful, text })
}

/// Nothing without webhooks.
fn webhooks(session: &Session) -> Option<Finding> {
    let (text, is_wrong) = webhook::health(session)?;
    let verdict = if is_wrong { Verdict::Doubtful } else { Verdict::Good };
    Some(Finding { name: "webhooks", verdict, text })
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
    let pools = session.settings.limits().pools;
    let all: Demand = pools.0.keys().map(|name| (name.clone(), 1)).collect();
    findings.extend(pools.unnumbered(&all).map(|(pool, device)| Finding {
        name: "pools",
        verdict: Verdict::Doubtful,
        text: format!(
            "`CUDA_VISIBLE_DEVICES` is not set for the device `{device}` of `{pool}`: its name has no number, as `gpu:0` has"
        ),
    }));
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
        Err(error) => Finding {
            name: "state directory",
            verdict: Verdict::Bad,
            text: format!("{shown} is not writable: {error}"),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_its_word() {
        let finding = |verdict| Finding { name: "file system", verdict, text: "NFS".to_owned() };
        let lines: String = [Verdict::Good, Verdict::Doubtful, Verdict::Bad].map(|v| line(&finding(v))).concat();
        assert_eq!(lines, "ok   file system      NFS\nWARN file system      NFS\nBAD  file system      NFS\n");
    }
}
