//! Kills in rows, while the files are written, and while a batch is cancelled.

#[cfg(feature = "failpoints")]
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::model::tiny_model;
use super::served::{create, upload};
use super::{Lab, requests};
#[cfg(feature = "failpoints")]
use crate::harness::read;
use crate::harness::{Sandbox, eventually, processes_in};
use crate::serve::Server;

/// Rows of a batch that is killed, and tokens of each. It takes some seconds.
const ROWS: usize = 120;
const TOKENS: u32 = 60;

/// A number below `most` that differs from round to round.
fn pick(round: u64, most: u64) -> u64 {
    let mut state = round.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state ^= state >> 29;
    state % most
}

/// Kills engine and workers.
fn kill_all(sandbox: &Sandbox) {
    let processes = processes_in(sandbox.dir.path());
    let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
    let _ = std::process::Command::new("kill").arg("-KILL").args(ids).stderr(std::process::Stdio::null()).status();
}

/// Bytes of the answers that are kept. A row that is computed twice is there twice.
fn segment_bytes(lab: &Lab) -> u64 {
    let files = walkdir::WalkDir::new(lab.sandbox.state().join("rows")).into_iter().flatten();
    let sizes = files.filter(|entry| entry.file_type().is_file()).map(|entry| entry.metadata().unwrap().len());
    sizes.sum()
}

/// Holds the files of a batch that was killed against those of one that was not.
#[track_caller]
fn expect_equal(lab: &Lab, undisturbed: &Lab, rows: usize) {
    assert!(lab.files() == undisturbed.files(), "the files differ");
    let ids = lab.ids();
    assert!(ids.len() == rows && ids.values().all(|count| *count == 1), "{ids:?}");
    assert_eq!(segment_bytes(lab), segment_bytes(undisturbed), "a row was kept twice");
    lab.sandbox.stepwell(&["db", "check"]).ok();
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
        kill_all(&lab.sandbox);
        let _ = process.wait();
    }
    lab.batch(&[]).exits(3);
    expect_equal(&lab, &undisturbed, ROWS);
}

/// Pauses hold the batch while it writes its files, so that each kill hits it there.
#[cfg(feature = "failpoints")]
#[cfg(target_os = "linux")]
#[test]
fn twenty_kills_while_the_files_are_written_lose_and_repeat_nothing() {
    const FINALISING: &str = "batch.results.publish.before=sleep(250);batch.results.publish.after=sleep(250)";
    let undisturbed = Lab::new(&requests(40, 8));
    undisturbed.batch(&[]).exits(3);
    // The engine gives a step up that dies twenty times without a checkpoint.
    for rounds in [0..10, 10..20] {
        let lab = Lab::new(&requests(40, 8));
        for round in rounds {
            let record = lab.path(&format!("record-{round}"));
            let mut command = lab.sandbox.command(&Lab::ARGS);
            command.env("FAILPOINTS", FINALISING).env(stepwell_base::faults::RECORD_VARIABLE, &record);
            let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            eventually("the files are written", || read(&record).contains(" batch.results.publish.before"));
            std::thread::sleep(Duration::from_millis(pick(round, 900)));
            kill_all(&lab.sandbox);
            let _ = process.wait();
            assert!(!lab.path("out.jsonl").exists(), "round {round} came to its end");
        }
        lab.batch(&[]).exits(3);
        expect_equal(&lab, &undisturbed, 40);
    }
}

/// Rows of one batch through the server; those of another round have no answer in common with it.
fn rows_of_a_round(round: u64) -> Vec<String> {
    let line = |n: u64| {
        let body = json!({
            "model": "tiny", "messages": [{"role": "user", "content": format!("Round {round}, number {n}")}],
            "max_tokens": 150, "ignore_eos": true,
        });
        let line =
            json!({"custom_id": format!("row-{n}"), "method": "POST", "url": "/v1/chat/completions", "body": body});
        line.to_string()
    };
    (0..100).map(line).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn twenty_kills_while_batches_are_cancelled_leave_each_row_in_one_file() {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let options = ["--listen", "127.0.0.1:0", "--model", "tiny=model"];
    let mut server = Server::start_with(&sandbox, &options);
    let token = server.token.clone().expect("the first token");
    let (mut cancelled, mut kills) = (0, 0);
    for round in 0..7 {
        let rows = rows_of_a_round(round);
        let file = upload(&server, &token, &rows.join("\n"));
        let path = format!("/v1/batches/{}", create(&server, &token, &file)["id"].as_str().unwrap());
        eventually("rows are answered", || {
            server.get(&path, &token)["request_counts"]["completed"].as_u64() > Some(round)
        });
        let counted = server.get(&path, &token)["request_counts"]["completed"].as_u64().unwrap();
        server.call("POST", &format!("{path}/cancel"), &token, Some(&json!({})));
        for kill in 0..3 {
            std::thread::sleep(Duration::from_millis(pick(round * 3 + kill, 500)));
            kill_all(&sandbox);
            server.kill();
            kills += 1;
            server = Server::start_with(&sandbox, &options);
        }
        let mut ended = Value::Null;
        eventually("the batch ends", || {
            ended = server.get(&path, &token);
            ended["cancelled_at"].is_number() || ended["completed_at"].is_number()
        });
        cancelled += u32::from(ended["status"] == "cancelled");
        let lines = |name: &str| -> Vec<String> {
            let Some(id) = ended[name].as_str() else { return Vec::new() };
            let answer = server.call("GET", &format!("/v1/files/{id}/content"), &token, None);
            answer.body.lines().map(str::to_owned).collect()
        };
        let (answered, failed) = (lines("output_file_id"), lines("error_file_id"));
        assert!(answered.len() as u64 >= counted, "{counted} rows were counted, {} are there", answered.len());
        let id = |line: &String| -> u64 {
            let line: Value = serde_json::from_str(line).unwrap();
            line["custom_id"].as_str().unwrap().trim_start_matches("row-").parse().unwrap()
        };
        let mut ids: Vec<u64> = answered.iter().chain(&failed).map(id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..rows.len() as u64).collect::<Vec<_>>(), "each row once over both files");
        assert!(failed.iter().all(|line| line.contains("\"batch_cancelled\"")));
        // An undisturbed batch has the same lines.
        let (name, out) = (format!("rows-{round}.jsonl"), format!("out-{round}.jsonl"));
        sandbox.write(&name, rows.join("\n"));
        let state = format!("other-{round}");
        sandbox.stepwell(&["batch", &name, "--model", "model", "-o", &out, "--state-dir", &state]).ok();
        let whole = std::fs::read_to_string(sandbox.path(&out)).unwrap();
        let kept: Vec<&str> = whole.lines().filter(|line| answered.iter().any(|answer| answer == line)).collect();
        assert_eq!(kept.len(), answered.len(), "an answer differs from that of an undisturbed batch");
    }
    assert!(cancelled >= 4 && kills == 21, "{cancelled} of 7 batches were cancelled in time");
    server.kill();
}
