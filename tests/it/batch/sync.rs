//! No row is acknowledged before it is durable. A kill cannot show this, because the page cache outlives a process.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use super::{Lab, requests};

const CALLS: &str = "trace=write,fdatasync,sendto,sendmsg";

#[test]
fn a_row_is_durable_before_its_checkpoint_is_announced() {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is not installed, or may not trace here");
        return;
    }
    // Some seconds of work: at most four checkpoints are sent in each.
    let lab = Lab::new(&requests(120, 120));
    let stepwell = lab.sandbox.command(&Lab::ARGS);
    let trace = lab.path("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-y", "-s", "2000", "-e", CALLS, "-o"]).arg(&trace);
    traced.arg(stepwell.get_program()).args(stepwell.get_args()).current_dir(lab.sandbox.dir.path());
    for (name, value) in stepwell.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let (mut written, mut synced, mut announced) = (0, 0, 0);
    // What a thread is in the middle of; strace shows the end of such a call on a line of its own.
    let mut unfinished: HashMap<String, String> = HashMap::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let mut call = call.trim_start().to_owned();
        if let Some((resumed, end)) = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let Some(start) = unfinished.remove(thread).filter(|start| start.starts_with(resumed)) else { continue };
            call = start + end;
        } else if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            // A checkpoint counts from the start of its message.
            if !start.contains("/rows.segment>") {
                announced += u32::from(announces(start, synced));
            }
            unfinished.insert(thread.to_owned(), start.to_owned());
            continue;
        }
        let is_segment = call.split_once('>').is_some_and(|(file, _)| file.ends_with("/rows.segment"));
        if is_segment && call.starts_with("write(") {
            written += call.rsplit_once("= ").unwrap().1.parse::<u64>().unwrap();
        } else if is_segment && call.starts_with("fdatasync(") {
            synced = written;
        } else {
            announced += u32::from(announces(&call, synced));
        }
    }
    assert!(announced > 1 && synced == written && written > 1000, "{announced} {synced} {written}");
}

/// True for a message with a checkpoint, which must not name more bytes than are durable.
#[track_caller]
fn announces(call: &str, synced: u64) -> bool {
    let Some((_, rest)) = call.split_once(r#"\"segment_bytes\":"#) else { return false };
    if !call.contains(r#"{\"type\":\"checkpoint\""#) {
        return false;
    }
    let bytes: u64 = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    assert!(bytes <= synced, "{bytes} bytes were announced, {synced} were durable");
    true
}
