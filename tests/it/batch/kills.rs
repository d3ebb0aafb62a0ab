//! Kills in rows, while the files are written, and while a batch is cancelled.

use std::time::Duration;

use super::{Lab, requests};

/// Rows of a batch that is killed, and tokens of each. It takes some seconds.
const ROWS: usize = 120;
const TOKENS: u32 = 60;

/// A number below `most` that differs from round to round.
fn pick(round: u64, most: u64) -> u64 {
    let mut state = round.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state ^= state >> 29;
    state % most
}

fn kill_all(lab: &Lab) {
    let processes = crate::harness::processes_in(lab.sandbox.dir.path());
    let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
    let _ = std::process::Command::new("kill").arg("-KILL").args(ids).stderr(std::process::Stdio::null()).status();
}

#[cfg(target_os = "linux")]
#[test]
fn twenty_kills_lose_and_repeat_nothing() {
    let undisturbed = Lab::new(&requests(ROWS, TOKENS));
    undisturbed.batch(&[]).exits(3);
    let lab = Lab::new(&requests(ROWS, TOKENS));
    for round in 0..20 {
        let mut process = lab.sandbox.start(&Lab::ARGS);
        std::thread::sleep(Duration::from_millis(100 + pick(round, 900)));
        kill_all(&lab);
        let _ = process.wait();
    }
    lab.batch(&[]).exits(3);
    assert!(lab.files() == undisturbed.files(), "the files differ");
    let ids = lab.ids();
    assert!(ids.len() == ROWS && ids.values().all(|count| *count == 1), "{ids:?}");
    lab.sandbox.stepwell(&["db", "check"]).ok();
}
