//! Texts of a training, and what attempts used.

use axum::http::StatusCode;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::fixture::Lab;

/// 64 bits of BLAKE3 over a row, as the store has them.
fn digest(texts: [&str; 4], words: [u64; 3]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    words.iter().for_each(|word| {
        hasher.update(&word.to_le_bytes());
    });
    i64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().unwrap())
}

#[test]
fn texts_come_in_pages_of_training_steps() {
    let lab = Lab::new();
    let run = lab.submit("r").to_string();
    let database = Connection::open(lab.dir.path().join("stepwell.db")).unwrap();
    for train_step in [10u64, 20, 30] {
        for number in 0u64..2 {
            let text = format!("text {train_step} {number}");
            let sql = "INSERT INTO sample (run, step, train_step, number, attempt, prompt, text, digest)
                       VALUES (?1, 'one', ?2, ?3, 1, 'Once', ?4, ?5)";
            let digest = digest([&run, "one", "Once", &text], [1, train_step, number]);
            database.execute(sql, params![run, train_step.cast_signed(), number.cast_signed(), text, digest]).unwrap();
        }
    }
    let get = |query: &str| lab.get(&format!("/api/v1/runs/{run}/steps/one/samples{query}"), &lab.read);
    let steps = |page: &Value| -> Vec<u64> {
        page["samples"].as_array().unwrap().iter().map(|sample| sample["train_step"].as_u64().unwrap()).collect()
    };
    let (status, first) = get("?limit=2");
    assert_eq!((status, steps(&first), &first["next"]), (StatusCode::OK, vec![10, 10, 20, 20], &json!(20)));
    assert_eq!(first["train_steps"], json!([10, 20, 30]));
    let (_, second) = get("?limit=2&after=20");
    assert_eq!((steps(&second), &second["next"]), (vec![30, 30], &Value::Null));
    let (_, one) = get("?at=20");
    assert_eq!(one["samples"][1], json!({ "train_step": 20, "number": 1, "prompt": "Once", "text": "text 20 1" }));
    assert_eq!(get("?limit=0").0, StatusCode::BAD_REQUEST);
    assert_eq!(lab.get(&format!("/api/v1/runs/{run}/steps/two/samples"), &lab.read).0, StatusCode::NOT_FOUND);
}

#[test]
fn an_attempt_has_its_own_measurements() {
    let lab = Lab::new();
    let run = lab.submit("r").to_string();
    let database = Connection::open(lab.dir.path().join("stepwell.db")).unwrap();
    database.execute("UPDATE step SET attempts = 2 WHERE run = ?1", [&run]).unwrap();
    for (attempt, number, cpu) in [(1, 1, 4.5), (2, 1, 1.0), (2, 2, 2.5)] {
        let sql = "INSERT INTO attempt_usage (run, step, attempt, number, at, cpu_seconds, memory_bytes, peak_bytes)
                   VALUES (?1, 'one', ?2, ?3, '2026-11-30T10:00:00.000Z', ?4, 1000, 2000)";
        database.execute(sql, params![run, attempt, number, cpu]).unwrap();
    }
    let get = |attempt: &str| lab.get(&format!("/api/v1/runs/{run}/steps/one/attempts/{attempt}/usage"), &lab.read);
    let (status, second) = get("2");
    let cpu: Vec<&Value> = second["usage"].as_array().unwrap().iter().map(|row| &row["cpu_seconds"]).collect();
    assert_eq!((status, cpu), (StatusCode::OK, vec![&json!(1.0), &json!(2.5)]));
    assert_eq!(second["usage"][0]["gpu_ratio"], Value::Null);
    assert_eq!(get("3").0, StatusCode::NOT_FOUND);
    assert_eq!(get("x").0, StatusCode::BAD_REQUEST);
}
