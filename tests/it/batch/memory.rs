//! Batches that need more memory than there is.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::model::{Shape, model_of};
use super::{Lab, requests};
use crate::harness::{Finished, MemoryGroup, children, eventually, read};

const WORKFLOW: &str = r#"
name = "greedy"
[[step]]
id = "infer"
kind = "infer"
with = { model = "model", requests = "requests.jsonl", cache_mib = CACHE }
"#;

/// A command of the shell, which has to end with `exec "$@"`, around the binary with these arguments.
fn within(lab: &Lab, (shell, argument): (&str, &str), args: &[&str]) -> Command {
    let stepwell = lab.sandbox.command(args);
    let mut within = Command::new("sh");
    within.args(["-c", shell, argument]).arg(stepwell.get_program()).args(stepwell.get_args());
    within.current_dir(lab.sandbox.dir.path());
    for (name, value) in stepwell.get_envs() {
        match value {
            Some(value) => within.env(name, value),
            None => within.env_remove(name),
        };
    }
    within
}

/// Runs the workflow in a state directory of its own, so that no answer is known; returns its output file.
fn limited(lab: &Lab, limit: (&str, &str), cache: &str) -> (Vec<u8>, String) {
    lab.sandbox.write("greedy.toml", WORKFLOW.replace("CACHE", cache));
    let run = ["run", "greedy.toml", "--state-dir", "limited"];
    Finished::from(within(lab, limit, &run).output().unwrap()).ok();
    let copied = ["artifact", "get", "last/infer/output", "limited.jsonl", "--state-dir", "limited"];
    lab.sandbox.stepwell(&copied).ok();
    let told = lab.sandbox.stepwell(&["show", "last", "infer", "--state-dir", "limited"]).ok().stdout;
    (std::fs::read(lab.path("limited.jsonl")).unwrap(), told)
}

#[test]
fn a_cache_that_the_system_refuses_is_halved_until_it_fits() {
    /// Most address space of each process, in KiB: less than the cache that is asked for.
    const LIMIT: &str = "6291456";
    let lab = Lab::new(&requests(20, 8));
    lab.batch(&[]).exits(3);
    let (output, told) = limited(&lab, ("ulimit -v \"$0\"; exec \"$@\"", LIMIT), "16384");
    assert!(output == lab.files()[0], "the answers are the same bytes");
    let decision = "the system lacks memory for the keys and values of all rows: they have 4096 MiB";
    assert!(told.contains(decision), "{told}");
}

/// Rows that hold 16 MiB of keys and values each, all at the same time: the last prompt is read before the first answer ends.
fn rows_with_long_prompts() -> Lab {
    const LONG: Shape = Shape { hidden: 256, ffn: 256, layers: 4, heads: 4, kv_heads: 4, context: 2048 };
    let row = |n: usize| {
        let body = json!({
            "model": "long", "prompt": format!("{n} ").repeat(950), "max_tokens": 64, "ignore_eos": true, "temperature": 0,
        });
        json!({"custom_id": format!("row-{n}"), "method": "POST", "url": "/v1/completions", "body": body}).to_string()
    };
    let lab = Lab::new(&(0..8).map(row).collect::<Vec<_>>());
    model_of(&lab.path("model"), &LONG);
    lab
}

/// The kernel kills the worker, again and again, until as many rows run at once as fit.
#[test]
fn a_batch_that_the_kernel_kills_for_its_memory_continues_with_fewer_rows_at_once() {
    let Some(group) = MemoryGroup::of_mib(128) else {
        eprintln!("skipped: no right to make a control group");
        return;
    };
    let lab = rows_with_long_prompts();
    lab.batch(&[]).ok();
    let enter = group.processes().display().to_string();
    let (output, told) = limited(&lab, ("echo $$ > \"$0\"; exec \"$@\"", &enter), "512");
    assert!(output == lab.files()[0], "the answers are the same bytes");
    let decision = "the worker ran out of memory while it worked on 8 rows: the batch continues with at most 4 at once";
    assert!(told.contains(decision), "{told}");
}

/// Rows whose log-probabilities take some megabytes each until the row has ended.
fn rows_with_long_answers() -> Vec<String> {
    let row = |n: usize| {
        let body = json!({
            "model": "tiny", "prompt": format!("Row {n}"), "max_tokens": 480, "ignore_eos": true, "logprobs": 20, "n": 4,
        });
        json!({"custom_id": format!("row-{n}"), "method": "POST", "url": "/v1/completions", "body": body}).to_string()
    };
    (0..16).map(row).collect()
}

/// Nobody kills the worker: the system refuses it memory, and it aborts.
#[test]
fn a_batch_whose_worker_is_refused_memory_continues_with_half_its_rows_at_once() {
    let lab = Lab::new(&rows_with_long_answers());
    lab.batch(&["--state-dir", "undisturbed"]).ok();
    let undisturbed = lab.files();
    let mut command = lab.sandbox.command(&Lab::ARGS);
    // Allocators that keep no memory in stock.
    command.env("MALLOC_ARENA_MAX", "1").env("MIMALLOC_ARENA_RESERVE", "0");
    let mut engine = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("rows are in flight", || lines_in_flight(&lab) == 16);
    let [worker] = children(engine.id())[..] else { panic!("more than one worker") };
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmData:")?.split_whitespace().next()?.parse::<u64>().ok());
    let limit = (kib.unwrap() + 8192) << 10;
    let limited = Command::new("prlimit").arg(format!("--pid={worker}")).arg(format!("--data={limit}")).status();
    assert!(engine.wait().unwrap().success());
    if !limited.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no `prlimit` here");
        return;
    }
    assert!(lab.files() == undisturbed, "the answers are the same bytes");
    let told = lab.sandbox.stepwell(&["show", "last", "infer"]).ok().stdout;
    let decision =
        "the worker ran out of memory while it worked on 16 rows: the batch continues with at most 8 at once";
    assert!(told.contains(decision), "{told}");
}

/// Number of rows that the note of the worker names.
fn lines_in_flight(lab: &Lab) -> usize {
    let files = walkdir::WalkDir::new(lab.sandbox.state()).into_iter().flatten();
    let note = files.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("in-flight.json"));
    let note = note.and_then(|path| serde_json::from_str::<Value>(&read(&path)).ok());
    note.and_then(|note| Some(note["lines"].as_array()?.len())).unwrap_or(0)
}
