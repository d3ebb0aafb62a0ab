//! What a training measures of itself, end to end: the same model with and without it, and the same curves and texts
//! after kills.

use serde_json::Value;

use crate::harness::{Sandbox, children, eventually, signal};

/// The workflow `smoke` with validation, texts and numbers of layers.
fn watched(sandbox: &Sandbox) -> String {
    const LAST: &str = "checkpoint_every = \"{{ params.checkpoint_every }}\"\n";
    let smoke = include_str!("../../workflows/smoke.toml");
    let more = "validation = \"{{ steps.tokenize_validation.outputs.tokens }}\"\nvalidation_every = 7\nvalidation_tokens = 500\n\
                sample_every = 15\nprompts = [\"The \", \"\"]\nsample_tokens = 8\nlayer_stats_every = 9\n";
    assert_eq!(smoke.matches(LAST).count(), 1);
    sandbox.write("watched.toml", smoke.replace(LAST, &format!("{LAST}{more}")));
    "watched.toml".to_owned()
}

const SETTINGS: [&str; 6] = ["-S", "steps=120", "-S", "documents=120", "-S", "checkpoint_every=10"];

fn started(sandbox: &Sandbox, workflow: &str) -> std::process::Child {
    sandbox.start(&[&["run", workflow], &SETTINGS[..]].concat())
}

fn finished(sandbox: &Sandbox, workflow: &str) {
    sandbox.stepwell(&[&["run", workflow], &SETTINGS[..]].concat()).ok();
}

/// Everything that is recorded, without timings.
fn record(sandbox: &Sandbox) -> Vec<String> {
    let numbers =
        "SELECT train_step || ' ' || loss || ' ' || learning_rate || ' ' || grad_norm || ' ' || coalesce(more, '')
                   FROM metric WHERE step = 'train' ORDER BY train_step";
    let texts =
        "SELECT train_step || ' ' || number || ' ' || prompt || ' ' || text FROM sample ORDER BY train_step, number";
    [sandbox.query(numbers), sandbox.query(texts)].concat()
}

fn model(sandbox: &Sandbox) -> Vec<String> {
    sandbox.query("SELECT digest FROM step_output WHERE step = 'train' AND name = 'model'")
}

fn reached(sandbox: &Sandbox, step: u64) -> bool {
    if !sandbox.state().join("stepwell.db").exists() || sandbox.query_count("metric") == 0 {
        return false;
    }
    let rows = sandbox.query("SELECT coalesce(max(train_step), 0) FROM metric");
    rows[0].parse::<u64>().unwrap_or(0) >= step
}

#[test]
fn curves_and_texts_survive_kills_and_change_no_bit_of_the_model() {
    let plain = Sandbox::new();
    finished(&plain, "smoke");
    let whole = Sandbox::new();
    let workflow = watched(&whole);
    finished(&whole, &workflow);
    assert_eq!(model(&whole), model(&plain));

    let killed = Sandbox::new();
    let workflow = watched(&killed);
    let mut engine = started(&killed, &workflow);
    for (round, step) in [8, 25, 50, 71, 100].into_iter().enumerate() {
        eventually("the next step", || reached(&killed, step));
        if round % 2 == 0 {
            engine.kill().unwrap();
            engine.wait().unwrap();
            engine = killed.start(&["resume", "last"]);
        } else {
            for worker in children(engine.id()) {
                signal(worker, "KILL");
            }
        }
    }
    assert!(engine.wait().unwrap().success());
    assert_eq!(model(&killed), model(&plain));
    assert_eq!(killed.digests(), whole.digests());
    assert_eq!(record(&killed), record(&whole));
    assert_eq!(killed.query("SELECT count(*) FROM metric WHERE more LIKE '%\"val_loss\"%'"), ["18"]);
    assert_eq!(killed.query("SELECT count(*) FROM metric WHERE more LIKE '%update_ratio/layer.0%'"), ["13"]);
    assert_eq!(killed.query("SELECT count(*) FROM sample"), ["16"]);

    let best = "SELECT last_step FROM checkpoint WHERE best = 1 ORDER BY seq DESC LIMIT 1";
    assert_eq!(killed.query(best), whole.query(best));
    let listed = killed.stepwell(&["checkpoints", "last", "--output", "json"]).ok().json();
    let best = listed["checkpoints"].as_array().unwrap().iter().filter(|listed| listed["best"] == true).count();
    assert_eq!(best, 1, "{listed}");
    let told = killed.stepwell(&["samples", "last", "--at", "30", "--output", "json"]).ok().json();
    let texts = told["steps"][0]["samples"].as_array().unwrap().iter();
    let prompts: Vec<&Value> = texts.map(|text| &text["prompt"]).collect();
    assert_eq!(prompts, ["The ", ""]);
    let shown = killed.stepwell(&["samples", "last"]).ok().stdout;
    assert!(["texts of train in run", "step 15\n", "step 120\n"].iter().all(|part| shown.contains(part)), "{shown}");
    let drawn = killed.stepwell(&["metrics", "last"]).ok().stdout;
    assert!(drawn.contains("* loss   o val_loss"), "{drawn}");
    killed.stepwell(&["db", "check"]).ok();
}
