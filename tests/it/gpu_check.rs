//! `scripts/gpu_check.sh` on a machine without a GPU: what it skips and why, and its parts on the CPU.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::Sandbox;

/// Runs the check with the program under test, and without the tests of kernels. `None` without python3.
fn check(sandbox: &Sandbox, args: &[&str]) -> Option<Value> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    let programs = sandbox.path("bin");
    std::fs::create_dir_all(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_stepwell"), programs.join("stepwell")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gpu_check.sh");
    let mut command = Command::new("bash");
    command.arg(script).args(["--out", "results", "--programs", "bin"]).args(args).current_dir(sandbox.dir.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let results = std::fs::read(sandbox.path("results/results.json")).unwrap();
    Some(serde_json::from_slice(&results).unwrap())
}

fn statuses(results: &Value) -> Vec<(&str, &str)> {
    let parts = results["parts"].as_array().unwrap().iter();
    parts.map(|part| (part["name"].as_str().unwrap(), part["status"].as_str().unwrap())).collect()
}

#[test]
fn without_a_gpu_every_part_but_doctor_is_skipped_with_a_reason() {
    let sandbox = Sandbox::new();
    let Some(results) = check(&sandbox, &["--device", "no-such-device"]) else { return };
    assert_eq!(results["finished"], true);
    let found = statuses(&results);
    assert_eq!((found.len(), found[0]), (8, ("doctor", "ok")));
    for part in &results["parts"].as_array().unwrap()[1..] {
        // The smoke tests look for their own devices.
        if part["name"].as_str().unwrap().starts_with("smoke-test") && part["status"] == "ok" {
            continue;
        }
        assert_eq!(part["status"], "skipped", "{part}");
        assert!(!part["reason"].as_str().unwrap().is_empty(), "{part}");
    }
}

#[cfg(all(feature = "flex", target_os = "linux"))]
#[test]
fn the_parts_that_train_work_on_the_cpu() {
    let sandbox = Sandbox::new();
    let only = "losses,speed,digests,memory";
    let Some(results) = check(&sandbox, &["--device", "flex", "--small", "--only", only]) else { return };
    let ok = ["doctor", "losses", "speed", "digests", "memory"].map(|name| (name, "ok"));
    assert_eq!(statuses(&results), ok);
    let [losses, speed, digests, memory] = [1, 2, 3, 4].map(|part| &results["parts"][part]["result"]);
    assert_eq!(losses["f32"]["losses"]["device"].as_array().unwrap().len(), 6);
    assert_eq!(losses["f32"]["largest_difference"], 0.0, "the CPU is compared with itself");
    assert!(speed["batch 2"]["contestants"]["stepwell f32"]["seconds_per_step"].as_f64().unwrap() > 0.0, "{speed}");
    assert_eq!(digests["f32"]["first"]["digests"], digests["f32"]["resumed"]["digests"]);
    assert_eq!(memory["steps"], 60);
}
