//! `stepwell bench train` from the command line: alone, next to a stand-in for PyTorch, and without PyTorch.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::Sandbox;

const SMALL: [&str; 9] = ["bench", "train", "--preset", "tiny", "--batch", "2", "--context", "16", "--rounds"];

fn has_python() -> bool {
    Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn training_alone_is_measured_with_each_number_of_threads() {
    let mut args = SMALL.to_vec();
    args.extend([
        "2",
        "--steps",
        "3",
        "--threads",
        "1,2",
        "--learning-rate",
        "0.02",
        "--output",
        "json",
        "--state-dir",
        "never",
    ]);
    let sandbox = Sandbox::new();
    let found = sandbox.stepwell(&args).ok().json();
    assert_eq!((&found["schema"], &found["bench"]), (&1.into(), &"train".into()));
    let report = &found["report"];
    assert_eq!(report["parameters"], 133_440);
    assert_eq!(report["flop_per_token"], 6.0 * 133_440.0 + 12.0 * 2.0 * 64.0 * 16.0);
    let rows = report["rows"].as_array().unwrap();
    let threads: Vec<u64> = rows.iter().map(|row| row["threads"].as_u64().unwrap()).collect();
    assert_eq!(threads, [1, 2]);
    for row in rows {
        // Two warm-up steps before the timed ones.
        assert_eq!((row["losses"].as_array().unwrap().len(), row["seconds"].as_array().unwrap().len()), (8, 6));
        let positive =
            ["seconds_per_step", "tokens_per_second", "model_flops_per_second", "mfu", "gemm_flops_per_second"];
        assert!(positive.iter().all(|name| row[*name].as_f64().unwrap() > 0.0), "{row}");
        assert!((0.0..1.0).contains(&row["waiting_share"].as_f64().unwrap()), "{row}");
    }
    assert_eq!(rows[0]["losses"], rows[1]["losses"], "threads change no bit");
    let [first, last] = [0, 7].map(|step| rows[0]["losses"][step].as_f64().unwrap());
    assert!((first - 512f64.ln()).abs() < 0.2, "an untrained model guesses: {first}");
    assert!(last < first, "{last} is not below {first}");
    assert_eq!(report["scaling"].as_array().unwrap().len(), 1);
    assert_eq!(report["speed"].as_array().unwrap().len(), 0);
    assert!(!sandbox.path("never").exists(), "measuring leaves nothing behind");
}

#[test]
fn bf16_is_measured_beside_f32_with_the_instructions_asked_for() {
    let mut args = SMALL.to_vec();
    args.extend(["1", "--steps", "3", "--threads", "1", "--precision", "f32,bf16", "--output", "json"]);
    let sandbox = Sandbox::new();
    let report = |isa: &str| {
        let output = sandbox.command(&args).env("STEPWELL_ISA", isa).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["report"].clone()
    };
    let (found, portable) = (report(""), report("portable"));
    let [exact, reduced] = [0, 1].map(|row| found["rows"][row].clone());
    assert_eq!((&exact["dtype"], &reduced["dtype"]), (&"f32".into(), &"bf16".into()));
    assert_ne!(exact["losses"], reduced["losses"]);
    // The tile registers of AMX sum bf16 in another order.
    let without_tiles = if cfg!(target_arch = "x86_64") { report("avx2") } else { found.clone() };
    for (row, other) in [&found, &without_tiles].into_iter().enumerate() {
        assert_eq!(other["rows"][row]["losses"], portable["rows"][row]["losses"], "instructions change no bit");
    }
    assert_eq!(found["speed"][0]["name"], "stepwell bf16 / stepwell f32, 1 threads");
    let output = sandbox.command(&args).env("STEPWELL_ISA", "sse9").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("`STEPWELL_ISA` is `sse9`; use one of: portable"), "{text}");
}

#[test]
fn losses_are_reported_without_the_z_loss() {
    let sandbox = Sandbox::new();
    let report = |z_loss: &str| {
        let mut args = SMALL.to_vec();
        args.extend(["1", "--steps", "3", "--threads", "1", "--z-loss", z_loss, "--output", "json"]);
        sandbox.stepwell(&args).ok().json()["report"].clone()
    };
    let (without, with) = (report("0"), report("0.01"));
    assert_eq!((&without["z_loss"], &with["z_loss"]), (&0.0.into(), &0.01.into()));
    let [plain, changed] = [without, with].map(|report| report["rows"][0]["losses"].clone());
    assert_eq!(plain[0], changed[0]);
    assert_ne!(plain[1], changed[1]);
    let mut args = SMALL.to_vec();
    args.extend(["1", "--z-loss", "-1"]);
    let refused = sandbox.command(&args).output().unwrap();
    assert!(!refused.status.success());
}

#[test]
fn without_pytorch_the_error_names_the_pip_line() {
    if !has_python() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("modules/torch.py", "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n");
    let mut args = SMALL.to_vec();
    args.extend(["1", "--against", "torch", "--output", "json"]);
    let output = sandbox.command(&args).env("PYTHONPATH", sandbox.path("modules")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("`python3` has no Python module `torch`"), "{text}");
    assert!(text.contains("`python3 -m pip install -r scripts/golden/requirements.txt`"), "{text}");
}

#[test]
fn a_missing_interpreter_is_named() {
    let mut args = SMALL.to_vec();
    args.extend(["1", "--against", "torch", "--python", "no-such-python"]);
    Sandbox::new().stepwell(&args).exits(2).says(&["cannot start `no-such-python`", "--python"]);
}

#[test]
fn an_unknown_preset_lists_the_known_ones() {
    Sandbox::new().stepwell(&["bench", "train", "--preset", "huge"]).exits(6).says(&["no preset `huge`", "deep60"]);
}

/// A stand-in for `scripts/bench_torch.py`: half a second per step, a loss of 1.
const STAND_IN: &str = r#"#!/bin/sh
echo '{"ready":{"version":"stand-in"}}'
while read -r name number; do
  echo "$name $number" >> "$(dirname "$0")/requests"
  if [ "$name" = gemm ]; then echo '{"flops_per_second":1e15}'; continue; fi
  list() { i=1; printf '[%s' "$1"; while [ $i -lt "$number" ]; do printf ',%s' "$1"; i=$((i + 1)); done; printf ']'; }
  echo "{\"seconds\":$(list 0.5),\"losses\":$(list 1.0),\"waited\":$(list 0.05)}"
done
"#;

fn interpreter(sandbox: &Sandbox, script: &str) -> String {
    let path = sandbox.write("interpreter/python", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn both_sides_are_compared_turn_by_turn() {
    let sandbox = Sandbox::new();
    let python = interpreter(&sandbox, STAND_IN);
    let mut args = SMALL.to_vec();
    args.extend(["2", "--steps", "3", "--threads", "1", "--against", "torch", "--modes", "f32,bf16"]);
    args.extend(["--python", &python, "--output", "json"]);
    let report = sandbox.stepwell(&args).ok().json()["report"].clone();
    let requests = std::fs::read_to_string(sandbox.path("interpreter/requests")).unwrap();
    let one_of_two = ["step 3", "gemm 1024"].repeat(2);
    assert_eq!(requests.lines().collect::<Vec<_>>(), [vec!["step 2", "step 2"], one_of_two.repeat(2)].concat());

    let [ours, f32, bf16] = [0, 1, 2].map(|row| report["rows"][row].clone());
    assert_eq!((&ours["system"], &f32["system"], &bf16["mode"]), (&"stepwell".into(), &"torch".into(), &"bf16".into()));
    assert_eq!((&f32["seconds_per_step"], &f32["version"]), (&0.5.into(), &"stand-in".into()));
    assert!((f32["waiting_share"].as_f64().unwrap() - 0.1).abs() < 1e-9);
    let own = ours["seconds_per_step"].as_f64().unwrap();
    let speed = &report["speed"][0];
    assert!((speed["value"].as_f64().unwrap() * own - 0.5).abs() < 1e-9, "{speed}");
    assert_eq!((&speed["goal"], &report["speed"][1]["goal"]), (&">= 1.35".into(), &serde_json::Value::Null));
    let deviation = &report["deviations"][0];
    let furthest =
        ours["losses"].as_array().unwrap().iter().map(|x| (x.as_f64().unwrap() - 1.0).abs()).fold(0.0, f64::max);
    assert_eq!((deviation["largest"].as_f64(), deviation["steps"].as_u64()), (Some(furthest), Some(8)));
    assert_eq!(deviation["met"], false);
    assert_eq!(report["peaks"][0]["by"], "torch f32");
}

#[test]
fn a_side_that_dies_says_its_last_words() {
    let sandbox = Sandbox::new();
    let python = interpreter(&sandbox, "#!/bin/sh\necho 'out of memory' >&2\nexit 9\n");
    let mut args = SMALL.to_vec();
    args.extend(["1", "--against", "torch", "--modes", "f32", "--python", &python]);
    sandbox.stepwell(&args).exits(1).says(&["torch f32 ended with exit status: 9", "out of memory"]);
}
