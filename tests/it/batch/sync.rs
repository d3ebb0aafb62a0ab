//! No row is acknowledged before it is durable. A kill cannot show this, because the page cache outlives a process.

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
    let lab = Lab::new(&requests(30, 20));
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
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let Some((_, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let is_segment = call.split_once('>').is_some_and(|(file, _)| file.ends_with("/rows.segment"));
        if is_segment && call.starts_with("write(") {
            written += call.rsplit_once("= ").unwrap().1.parse::<u64>().unwrap();
        } else if is_segment && call.starts_with("fdatasync(") {
            synced = written;
        } else if let Some((_, rest)) = call.split_once(r#"\"segment_bytes\":"#)
            && call.contains(r#"{\"type\":\"checkpoint\""#)
        {
            let bytes: u64 = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            assert!(bytes <= synced, "{bytes} bytes were announced, {synced} were durable");
            announced += 1;
        }
    }
    assert!(announced > 0 && synced == written && written > 1000, "{announced} {synced} {written}");
}
