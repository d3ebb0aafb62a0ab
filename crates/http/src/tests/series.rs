//! Pictures of long series.

use axum::http::StatusCode;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::fixture::Lab;
use stepwell_base::ids::RunId;

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

#[test]
fn a_series_without_blocks_is_answered_as_one_with_them() {
    let lab = Lab::new();
    let run = lab.submit("r");
    let rows = Rows::of(&lab, run);
    rows.write(1..50_001, 1);
    let path = format!("/api/v1/runs/{run}/metrics?points=300");
    let (_, first) = lab.get(&path, &lab.read);
    let blocks: i64 =
        rows.database.query_row("SELECT count(*) FROM series_block WHERE level = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(blocks, 50_000 / 64);
    assert_eq!(lab.get(&path, &lab.read).1, first);
    // Fewer rows than are worth a block.
    rows.write(50_001..50_100, 1);
    let (_, page) = lab.get(&path, &lab.read);
    assert_eq!(page["series"][0]["lines"]["loss"]["last"][0], 50_099);
    assert_eq!(page["series"][0]["names"]["loss"], 50_099);
}
