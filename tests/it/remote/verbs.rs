//! The verbs, as a person uses them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::cloud::{COST, Cloud, RUNS, START, text};
use crate::harness::{eventually, signal};

const SETTLE: &str = "100ms";

/// Launches a machine and waits for its file.
fn launched(cloud: &Cloud) -> String {
    let (digest, key) = cloud.plan();
    cloud.remote(&["launch", "--confirm", &digest]).ok();
    let disk = cloud.live()[0]["id"].as_str().unwrap().to_owned();
    let exit = cloud.sandbox.path(&format!("cloud/disks/{disk}/stepwell-work/.stepwell-exit"));
    eventually("the command has ended", || exit.exists());
    key
}

fn synced(cloud: &Cloud, key: &str) {
    let digest = text(&cloud.remote(&["sync", key]).ok().json()["digest"]);
    cloud.remote(&["sync", key, "--confirm", &digest]).ok();
}

#[test]
fn a_machine_lives_only_by_confirmations() {
    let cloud = Cloud::new("", SETTLE);
    let (digest, key) = cloud.plan();
    assert_eq!((cloud.calls("launch"), cloud.instances().len()), (0, 0), "a plan asks for a price only");
    cloud.remote(&["launch", "--confirm", "0123456789abcdef"]).exits(6);
    let launch = cloud.remote(&["launch", "--confirm", &digest]).ok().json();
    assert_eq!(launch["machine"]["state"], "running");
    cloud.remote(&["launch", "--confirm", &digest]).ok();
    assert_eq!((cloud.calls("launch"), cloud.instances().len()), (1, 1), "a digest launches once");
    let disk = text(&cloud.live()[0]["id"]);
    let exit = cloud.sandbox.path(&format!("cloud/disks/{disk}/stepwell-work/.stepwell-exit"));
    eventually("the command has ended", || exit.exists());

    cloud.set_clock(START + RUNS);
    let status = cloud.remote(&["status"]).ok().says(&["its command has ended (exit code 0)"]).json();
    let machine = &status["machines"][0];
    assert_eq!((machine["cost_cents"].as_u64(), machine["exit"].as_i64()), (Some(COST), Some(0)));
    cloud.remote(&["terminate", &key]).exits(2).says(&["out.txt", "run.log", "stepwell remote sync"]);
    assert_eq!(cloud.calls("terminate"), 0);
    synced(&cloud, &key);
    let copies = cloud.sandbox.state().join("remote").join(&key);
    assert_eq!(fs::read_to_string(copies.join("out.txt")).unwrap(), "result\n");
    assert_eq!(fs::read_to_string(copies.join("run.log")).unwrap(), "line\n");
    let plan = cloud.remote(&["terminate", &key]).ok().json();
    assert_eq!((plan["acts"].as_bool(), cloud.calls("terminate")), (Some(false), 0));
    cloud.remote(&["terminate", &key, "--confirm", "0123456789abcdef"]).exits(2);
    assert_eq!(cloud.live().len(), 1);
    let ended = cloud.remote(&["terminate", &key, "--confirm", &text(&plan["digest"])]).ok().json();
    assert_eq!(
        (ended["machine"]["gone"].as_str(), ended["machine"]["cost_cents"].as_u64()),
        (Some("terminated"), Some(COST))
    );
    assert_eq!(cloud.live().len(), 0);
    cloud.remote(&["audit"]).ok();
    cloud.remote(&["terminate", &key]).exits(2);
    cloud.sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn files_that_are_only_there_are_given_up_by_name() {
    let cloud = Cloud::new("", SETTLE);
    let key = launched(&cloud);
    let plan = cloud.remote(&["terminate", &key, "--discard-unsynced"]).ok().json();
    assert_eq!(plan["discards"].as_array().unwrap().len(), 2);
    let digest = text(&plan["digest"]);
    cloud.remote(&["terminate", &key, "--confirm", &digest]).exits(2);
    // Half of it is saved meanwhile: another choice than the one that was shown.
    synced(&cloud, &key);
    cloud.remote(&["terminate", &key, "--discard-unsynced", "--confirm", &digest]).exits(2);
    assert_eq!((cloud.calls("terminate"), cloud.live().len()), (0, 1));
}

#[test]
fn a_consent_expires() {
    let cloud = Cloud::new("", SETTLE);
    let settings = fs::read_to_string(cloud.sandbox.path("stepwell.toml")).unwrap();
    cloud.sandbox.write("stepwell.toml", format!("{settings}consent = \"1ms\"\n"));
    let (digest, _) = cloud.plan();
    cloud.remote(&["launch", "--confirm", &digest]).exits(2).says(&["expired", "--confirm"]);
    assert_eq!(cloud.calls("launch"), 0);
}

#[test]
fn a_preflight_comes_before_money() {
    let cloud = Cloud::new("", SETTLE);
    let plan = |more: &[&str]| {
        let common = ["plan", "--type", "small", "--estimate", "1h"];
        let all: Vec<&str> = common.iter().chain(more).copied().chain(["--", "true"]).collect();
        let all: Vec<&str> = ["remote"].into_iter().chain(all).collect();
        cloud.sandbox.stepwell(&all)
    };
    plan(&[]).exits(2).says(&["--skip-preflight"]);
    let failed = plan(&["--preflight", "echo No module named nonsense >&2; exit 1"]).exits(3);
    failed.says(&["No module named nonsense", "nothing was launched"]);
    assert!(plan(&["--preflight", "true"]).ok().stdout.contains("passed: true"));
    plan(&["--skip-preflight", "--maximum-cost", "0.10"]).exits(2).says(&["below the estimate"]);
    plan(&["--skip-preflight", "--down", "../x"]).exits(2);
    plan(&["--skip-preflight", "--up", "missing.txt"]).exits(1);
    assert_eq!(cloud.instances().len(), 0);
}

#[test]
fn an_unknown_type_and_a_refusal_are_told() {
    let cloud = Cloud::new("launch refuse 1\n", SETTLE);
    let all = ["remote", "plan", "--type", "abacus", "--estimate", "1h", "--skip-preflight", "--", "true"];
    cloud.sandbox.stepwell(&all).exits(3).says(&["abacus"]);
    let (digest, key) = cloud.plan();
    cloud.remote(&["launch", "--confirm", &digest]).exits(3).says(&["quota exceeded", "new plan"]);
    assert_eq!((cloud.state_of(&key).as_str(), cloud.instances().len()), ("gone", 0));
    cloud.remote(&["launch", "--confirm", &digest]).exits(3);
    assert_eq!(cloud.calls("launch"), 1);
}

#[test]
fn what_no_record_owns_is_found() {
    let cloud = Cloud::new("", SETTLE);
    let key = launched(&cloud);
    cloud.remote(&["audit"]).ok();
    fs::rename(cloud.sandbox.state(), cloud.sandbox.path("lost")).unwrap();
    let audit = cloud.remote(&["audit"]).exits(3).json();
    assert_eq!(audit["orphans"][0]["name"].as_str(), Some(key.as_str()));
    cloud.sandbox.write("cloud/faults", "list fail 1\n");
    let audit = cloud.remote(&["audit"]).exits(3).json();
    assert_eq!(audit["unanswered"].as_array().unwrap().len(), 1, "no answer is not a clean one");
}

#[test]
fn at_its_maximum_a_machine_is_saved_and_a_person_asked() {
    let cloud = Cloud::new("", SETTLE);
    let arguments = [
        "remote",
        "plan",
        "--type",
        "small",
        "--estimate",
        "1h",
        "--maximum-cost",
        "0.60",
        "--down",
        "model",
        "--checkpoint",
        "mkdir -p model && echo 7 > model/step",
        "--skip-preflight",
        "--output",
        "json",
        "--",
        "sleep 30",
    ];
    let plan = cloud.sandbox.stepwell(&arguments).ok().json();
    let key = text(&plan["plan"]["key"]);
    cloud.remote(&["launch", "--confirm", &text(&plan["digest"])]).ok();
    cloud.set_clock(START + RUNS - 60_000);
    let before = cloud.remote(&["status"]).ok();
    assert!(!before.stderr.contains("maximum"), "{}", before.stderr);
    cloud.set_clock(START + RUNS);
    cloud.remote(&["status"]).ok().says(&["its maximum is $0.60", "checkpoint is written", "--confirm"]);
    let copies = cloud.sandbox.state().join("remote").join(&key);
    assert_eq!(fs::read_to_string(copies.join("model/step")).unwrap(), "7\n");
    assert_eq!((cloud.live().len(), cloud.calls("terminate")), (1, 0), "asked, not ended");
    let again = cloud.remote(&["status"]).ok();
    assert!(!again.stderr.contains("maximum"), "told once: {}", again.stderr);
}

/// The process that launches dies while its call is under way; the call goes through.
#[test]
fn a_call_that_outlives_its_process_is_waited_for() {
    let cloud = Cloud::new("launch slow 2000\n", SETTLE);
    let (digest, key) = cloud.plan();
    let mut launch = cloud.sandbox.start(&["remote", "launch", "--confirm", &digest]);
    eventually("the intent is recorded", || cloud.state_of(&key) == "intent");
    std::thread::sleep(Duration::from_millis(100));
    signal(launch.id(), "KILL");
    launch.wait().unwrap();
    // Nobody may decide that it was not created: the call still holds the machine's lock.
    cloud.remote(&["launch", "--confirm", &digest]).exits(7).says(&["another process works on"]);
    cloud.assert_nothing_is_unnoticed("while the call is under way");
    eventually("the call is over", || cloud.remote(&["launch", "--confirm", &digest]).code == 0);
    assert_eq!((cloud.calls("launch"), cloud.instances().len()), (1, 1));
    assert_eq!(cloud.state_of(&key), "running");
}

/// `ssh` itself decides about host keys; this one says what it was told to do, and refuses.
#[test]
fn a_changed_host_key_is_refused() {
    let cloud = Cloud::new("", SETTLE);
    let script = "#!/bin/sh\ncase $1 in price) echo '{\"price_per_hour\": 0.5}';; launch) echo '{\"id\": \"m-1\"}';; list) echo '{\"instances\": []}';; status) printf '{\"status\": \"exists\", \"instance\": {\"id\": \"m-1\", \"phase\": \"running\", \"host\": \"10.0.0.1\", \"port\": 2222, \"user\": \"root\"}}';; esac\n";
    let program = cloud.sandbox.write("own.sh", script);
    let ssh = cloud.sandbox.write(
        "bin/ssh",
        "#!/bin/sh\necho \"$@\" >> ssh-calls\n[ ! -e changed ] || { echo '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @' >&2; exit 255; }\nfor last; do :; done\nHOME=$PWD exec sh -c \"$last\"\n",
    );
    for path in [&program, &ssh] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    cloud.sandbox.write(
        "stepwell.toml",
        "[remote.own]\nprovider = \"command\"\nprogram = [\"./own.sh\"]\nsettle = \"100ms\"\npoll = \"20ms\"\n",
    );
    let path = format!("{}:{}", cloud.sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| {
        let output = cloud.sandbox.command(arguments).env("PATH", &path).output().unwrap();
        crate::harness::Finished::from(output)
    };
    let plan = run(&[
        "remote",
        "plan",
        "--type",
        "x",
        "--estimate",
        "1h",
        "--skip-preflight",
        "--output",
        "json",
        "--",
        "true",
    ])
    .ok()
    .json();
    let key = text(&plan["plan"]["key"]);
    run(&["remote", "launch", "--confirm", &text(&plan["digest"])]).ok();
    let calls = fs::read_to_string(cloud.sandbox.path("ssh-calls")).unwrap();
    for option in
        ["StrictHostKeyChecking=accept-new", &format!("HostKeyAlias={key}"), "state/remote/known_hosts", "-p 2222"]
    {
        assert!(calls.contains(option), "{option}: {calls}");
    }
    cloud.sandbox.write("changed", "");
    run(&["remote", "sync", &key]).exits(3).says(&["another host key", "known_hosts"]);
    run(&["remote", "terminate", &key]).exits(2).says(&["another host key", "--discard-unsynced"]);
}
