//! Scheduled runs, with real engines that are killed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::harness::{Sandbox, eventually};

const NOTED: &str = r#"
name = "noted"
[params]
who = "nobody"
[[step]]
id = "note"
kind = "noop"
with.values = { at = "{{ run.scheduled_at }}", who = "{{ params.who }}" }
"#;

fn lab() -> Sandbox {
    let lab = Sandbox::new();
    lab.write("w.toml", NOTED);
    lab
}

/// Due times of all runs of the schedule, oldest first.
fn due(lab: &Sandbox) -> Vec<Timestamp> {
    let sql = "SELECT options ->> '$.origin.due' FROM run WHERE options ->> '$.origin.type' = 'schedule' ORDER BY 1";
    lab.query(sql).iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn each_due_time_starts_one_run_however_often_engines_are_killed() {
    let lab = lab();
    let cron = ["schedule", "add", "tick", "w.toml", "--cron", "* * * * * *", "--catch-up", "all", "-S", "who=me"];
    lab.stepwell(&cron).ok();
    for round in 1..=4u64 {
        let mut engine = lab.start(&["worker"]);
        eventually("more runs are there", || lab.query_count("run") >= 2 * round);
        engine.kill().unwrap();
        engine.wait().unwrap();
    }
    let mut engine = lab.start(&["worker"]);
    eventually("an engine serves", || lab.stepwell(&["doctor"]).stdout.contains("running as process"));
    lab.stepwell(&["worker"]).exits(7);
    lab.stepwell(&["schedule", "pause", "tick"]).ok();
    // Once the engine has seen the pause, it starts nothing more, and its runs end.
    let settled = || lab.query_count("run WHERE status <> 'succeeded'") == 0;
    eventually("all runs have succeeded", settled);
    engine.kill().unwrap();
    engine.wait().unwrap();

    let times = due(&lab);
    assert!(times.len() >= 8);
    let steps: BTreeSet<i64> = times.windows(2).map(|pair| pair[1].as_second() - pair[0].as_second()).collect();
    assert_eq!(steps, BTreeSet::from([1]), "no second twice, none left out: {times:?}");
    let values = lab
        .query("SELECT output_values FROM step JOIN run ON run.id = step.run ORDER BY run.options ->> '$.origin.due'");
    assert!(values[0].contains(&times[0].to_string()) && values[0].contains("\"me\""), "{}", values[0]);
    let names = lab.query("SELECT name FROM run ORDER BY options ->> '$.origin.due'");
    assert_eq!(names[0], format!("tick-{}", times[0]));

    lab.stepwell(&["db", "check"]).ok();
    // Simulates an engine that died between a submission and its record: the same times are due again.
    let rewind = "UPDATE schedule SET paused_at = NULL, done_until = created_at RETURNING done_until";
    lab.query(rewind);
    lab.stepwell(&["worker", "--exit-when-idle"]).ok();
    let again = due(&lab);
    let unique: BTreeSet<&Timestamp> = again.iter().collect();
    assert_eq!((unique.len(), &again[..times.len()]), (again.len(), &times[..]), "nothing twice");
    // Later writes of the engine do not hide that the schedule was edited by hand.
    lab.stepwell(&["db", "check"]).exits(3);
}

#[test]
fn missed_times_follow_the_policy() {
    for (policy, expected) in [("all", 24), ("latest", 1), ("none", 0)] {
        let lab = lab();
        // Half an hour from now, so that no due time is near.
        let minute = (jiff::Timestamp::now().as_second() / 60 + 30) % 60;
        lab.stepwell(&["schedule", "add", "x", "w.toml", "--cron", &format!("{minute} * * * *"), "--catch-up", policy])
            .ok();
        // Simulates a day without a worker.
        lab.query("UPDATE schedule SET done_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') RETURNING 1");
        lab.stepwell(&["worker", "--exit-when-idle"]).ok();
        assert_eq!(due(&lab).len(), expected, "{policy}");
        lab.stepwell(&["worker", "--exit-when-idle"]).ok();
        assert_eq!(due(&lab).len(), expected, "{policy}, once");
    }
}

#[test]
fn a_backfill_can_be_repeated_and_a_pause_passes_over() {
    let lab = lab();
    let add = ["schedule", "add", "nightly", "w.toml", "--cron", "0 3 * * *", "--time-zone", "Europe/Berlin"];
    lab.stepwell(&add).ok();
    lab.stepwell(&add).exits(2).says(&["there is a schedule `nightly` already"]);
    let backfill =
        ["schedule", "backfill", "nightly", "--from", "2026-03-28", "--to", "2026-03-31", "--output", "json"];
    let first = lab.stepwell(&backfill).ok().json();
    let times = ["2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"];
    assert_eq!(first["submitted"], serde_json::json!(times), "the clock goes forward in between");
    let second = lab.stepwell(&backfill).ok().json();
    assert_eq!((second["submitted"].as_array().unwrap().len(), &second["existing"]), (0, &serde_json::json!(3)));
    let future = ["schedule", "backfill", "nightly", "--from", "2026-03-28", "--to", "2999-01-01"];
    lab.stepwell(&future).exits(2).says(&["in the future"]);
    lab.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(lab.query_count("run WHERE status = 'succeeded'"), 3);

    lab.stepwell(&["schedule", "pause", "nightly"]).ok();
    lab.query("UPDATE schedule SET done_until = '2026-01-01T00:00:00.000Z' RETURNING 1");
    lab.stepwell(&["worker", "--exit-when-idle"]).ok();
    lab.stepwell(&["schedule", "resume", "nightly"]).ok();
    lab.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(lab.query_count("run"), 3, "what was due during the pause is passed over");

    let next = lab.stepwell(&["schedule", "next", "nightly", "-n", "2", "--output", "json"]).ok().json();
    assert_eq!(next["next"].as_array().unwrap().len(), 2);
    let listed = lab.stepwell(&["schedule", "list"]).ok().stdout;
    assert!(listed.contains("nightly") && listed.contains("Europe/Berlin"), "{listed}");
    lab.stepwell(&["schedule", "remove", "nightly"]).ok();
    lab.stepwell(&["schedule", "show", "nightly"]).exits(6);
}

#[test]
fn both_ends_of_a_backfill_count_and_it_is_not_longer_than_anybody_means() {
    let lab = lab();
    lab.stepwell(&["schedule", "add", "daily", "w.toml", "--cron", "0 3 * * *"]).ok();
    let backfill = |name: &str, from: &str, to: &str| {
        lab.stepwell(&["schedule", "backfill", name, "--from", from, "--to", to, "--output", "json"])
    };
    let done = backfill("daily", "2026-03-28T03:00:00Z", "2026-03-29T03:00:00Z").ok().json();
    assert_eq!(done["submitted"], serde_json::json!(["2026-03-28T03:00:00Z", "2026-03-29T03:00:00Z"]));
    lab.stepwell(&["schedule", "add", "often", "w.toml", "--cron", "* * * * *"]).ok();
    backfill("often", "2026-03-28", "2026-03-29").exits(2).says(&["more than 1000 times"]);
    assert_eq!(lab.query_count("run"), 2, "all or nothing");
}

#[test]
fn wrong_schedules_are_refused() {
    let lab = lab();
    let add =
        |cron: &str, zone: &str| lab.stepwell(&["schedule", "add", "x", "w.toml", "--cron", cron, "--time-zone", zone]);
    add("every day", "UTC").exits(2).says(&["is not a cron expression", "hint"]);
    add("0 3 * * *", "Middle/Earth").exits(2).says(&["there is no time zone `Middle/Earth`", "Europe/Berlin"]);
    add("0 0 31 2 *", "UTC").exits(2).says(&["never due"]);
    assert!(!lab.state().join("stepwell.db").exists() || lab.query_count("schedule") == 0);
}
