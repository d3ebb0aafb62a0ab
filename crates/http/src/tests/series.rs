//! Summaries of series follow rows that come, change and go.

use axum::http::StatusCode;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::fixture::Lab;
use crate::series::{Place, Range, Summaries};
use stepwell_base::ids::{RunId, StepId};
use stepwell_store::Reader;

/// Rows of a step, written as a program that reports `loss` and sometimes `val_loss` would have them.
struct Rows {
    database: Connection,
    run: RunId,
}

impl Rows {
    fn of(lab: &Lab, run: RunId) -> Rows {
        let database = Connection::open(lab.dir.path().join("stepwell.db")).unwrap();
        database.pragma_update(None, "synchronous", "off").unwrap();
        Rows { database, run }
    }

    fn write(&self, steps: std::ops::Range<u64>, attempt: u32) {
        self.database.execute_batch("BEGIN").unwrap();
        let sql = "INSERT OR REPLACE INTO metric (run, step, train_step, attempt, loss, tokens_so_far, digest, more)
                   VALUES (?1, 'one', ?2, ?3, ?4, 0, ?5, ?6)";
        let mut statement = self.database.prepare(sql).unwrap();
        for step in steps {
            let loss = ((step * 7919) % 1000) as f64 / 100.0 + f64::from(attempt);
            let more = step.is_multiple_of(100).then(|| format!("{{\"val_loss\":{loss}}}"));
            let digest = (step * 1000 + u64::from(attempt)).cast_signed();
            statement.execute(params![self.run.to_string(), step.cast_signed(), attempt, loss, digest, more]).unwrap();
        }
        self.database.execute_batch("COMMIT").unwrap();
    }

    fn rewind(&self, to: u64) {
        let sql = "DELETE FROM metric WHERE run = ?1 AND train_step > ?2";
        self.database.execute(sql, params![self.run.to_string(), to.cast_signed()]).unwrap();
    }
}

fn place(run: RunId) -> Place {
    Place { run, step: StepId::from("one") }
}

fn content(summaries: &Summaries, reader: &Reader, run: RunId) -> String {
    let whole = Range::default();
    let see = |summary: &crate::series::Summary| {
        let names: Vec<String> = summary.names().map(|(name, count)| format!("{name}={count}")).collect();
        format!("{names:?} {:?} {:?}", summary.pieces("loss", whole), summary.pieces("val_loss", whole))
    };
    summaries.with(reader, &place(run), see).unwrap()
}

#[test]
fn a_summary_that_followed_equals_a_new_one() {
    let lab = Lab::new();
    let run = lab.submit("r");
    let rows = Rows::of(&lab, run);
    let reader = Reader::open(lab.dir.path()).unwrap();
    let kept = Summaries::default();
    let (mut last, mut attempt, mut random) = (0, 1, 11u64);
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..60 {
        if next(4) == 0 && last > 0 {
            last = next(last + 1);
            rows.rewind(last);
            attempt += 1;
        }
        let more = next(900);
        rows.write(last + 1..last + 1 + more, attempt);
        last += more;
        assert!(content(&kept, &reader, run) == content(&Summaries::default(), &reader, run), "up to {last}");
    }
}

#[test]
fn a_number_that_comes_late_is_seen() {
    let lab = Lab::new();
    let run = lab.submit("r");
    let rows = Rows::of(&lab, run);
    let reader = Reader::open(lab.dir.path()).unwrap();
    let kept = Summaries::default();
    rows.write(1..2001, 1);
    let before = content(&kept, &reader, run);
    let sql = "UPDATE metric SET more = '{\"val_loss\":77.5}', digest = 5 WHERE run = ?1 AND train_step = 1900";
    rows.database.execute(sql, [run.to_string()]).unwrap();
    let after = content(&kept, &reader, run);
    assert!(!before.contains("77.5") && after.contains("77.5"));
    assert!(after == content(&Summaries::default(), &reader, run));
}

#[test]
fn few_points_keep_the_spike_of_one_row() {
    let lab = Lab::new();
    let run = lab.submit("r");
    let rows = Rows::of(&lab, run);
    rows.write(1..60_001, 1);
    let sql = "UPDATE metric SET loss = 1e6 WHERE run = ?1 AND train_step = 31234";
    rows.database.execute(sql, [run.to_string()]).unwrap();
    let (status, page) = lab.get(&format!("/api/v1/runs/{run}/metrics?points=500"), &lab.read);
    assert_eq!(status, StatusCode::OK, "{page}");
    let loss = &page["series"][0]["lines"]["loss"];
    let points = loss["points"].as_array().unwrap();
    assert!(points.len() <= 500, "{}", points.len());
    assert!(points.contains(&serde_json::json!([31234, 1e6])));
    assert_eq!((&loss["count"], &loss["last"][0]), (&Value::from(60_000), &Value::from(60_000)));
    assert_eq!(page["series"][0]["names"]["val_loss"], 600);
    assert_eq!(page["series"][0]["attempts"], serde_json::json!([{ "attempt": 1, "train_step": 1 }]));
    // A short range has every row.
    let path = format!("/api/v1/runs/{run}/metrics?name=loss&from=31230&to=31239");
    let (_, page) = lab.get(&path, &lab.read);
    let steps: Vec<u64> = page["series"][0]["lines"]["loss"]["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point[0].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (31230..31240).collect::<Vec<u64>>());
    assert_eq!(lab.get(&format!("/api/v1/runs/{run}/metrics?points=2001"), &lab.read).0, StatusCode::BAD_REQUEST);
}
