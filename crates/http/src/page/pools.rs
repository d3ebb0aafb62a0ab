//! `GET /pools`: what limits how much runs at once, and what holds it.

use askama::Template;
use axum::extract::State;
use serde_json::Value;

use super::parts::{Frame, Here, Shown, show};
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;

/// Holders that are named.
const MOST: usize = 50;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/pools", Access::READ, pools, Doc::new("page", "Shows slots, pools and rate limits"))]
}

#[derive(Template)]
#[template(path = "pools.html")]
struct Pools {
    frame: Frame,
    slots: u64,
    used: usize,
    running: Vec<String>,
    pools: Vec<Pool>,
    rates: Vec<(String, String)>,
}

struct Pool {
    name: String,
    has: String,
    free: String,
    holders: Vec<String>,
}

async fn pools(State(app): State<AppState>) -> Shown {
    let (engine, found) = app.ask(|desk| Ok::<_, Problem>((desk.engine(), desk.pools()?))).await?;
    show(&page(Frame::live(Here::Pools, "/pools", &engine), &found))
}

/// The view of what [`crate::Desk::pools`] tells.
fn page(frame: Frame, found: &Value) -> Pools {
    let running = list(&found["running"]).map(holder);
    let pool = |pool: &Value| Pool {
        name: text(&pool["name"]),
        has: text(&pool["units"]),
        free: text(&pool["free"]),
        holders: list(&pool["holders"]).take(MOST).map(holder).collect(),
    };
    Pools {
        frame,
        slots: found["slots"].as_u64().unwrap_or(0),
        used: list(&found["running"]).count(),
        running: running.take(MOST).collect(),
        pools: list(&found["pools"]).map(pool).collect(),
        rates: list(&found["rate_limits"]).map(|rate| (text(&rate["name"]), text(&rate["limit"]))).collect(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn holder(value: &Value) -> String {
    let units: Vec<String> = list(&value["units"]).map(text).collect();
    let units = if units.is_empty() { String::new() } else { format!(": {}", units.join(" ")) };
    format!("{}, {}{units}", text(&value["run"]), text(&value["step"]))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn holders_are_named_with_their_units() {
        let found = json!({
            "slots": 4,
            "running": [{ "run": "a", "step": "train" }],
            "pools": [{ "name": "gpu", "units": "2 devices", "free": 1, "holders": [{ "run": "a", "step": "train", "units": ["gpu:0"] }] }],
            "rate_limits": [{ "name": "api", "limit": "10/min" }],
        });
        let page = page(Frame::still(), &found);
        assert_eq!((page.slots, page.used, page.running.as_slice()), (4, 1, &["a, train".to_owned()][..]));
        assert_eq!(
            (page.pools[0].holders.as_slice(), page.pools[0].free.as_str()),
            (&["a, train: gpu:0".to_owned()][..], "1")
        );
    }
}
