//! `GET /runs/{run}/history`: the events of a run, newest first, and decisions.

use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::parts::{Frame, Shown, When, cut};
use super::head::{Around, Head, Tab, ViewOfRun};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use stepwell_base::visible::visible_line;
use stepwell_store::{EventRow, Reader};

const MOST: usize = 100;
const LONGEST: usize = 300;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/history", Access::READ, history, Doc::new("page", "Shows the events of a run"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    frame: Frame,
    head: Head,
    events: Vec<Told>,
    older: Option<String>,
    newest: Option<String>,
}

struct Told {
    at: When,
    what: String,
    step: Option<String>,
    detail: String,
}

async fn history(view: ViewOfRun, QueryOf(query): QueryOf<Query>) -> Shown {
    view.show(Tab::History, move |reader, around, head| page(reader, around, head, &query)).await
}

fn page(reader: &Reader, around: &Around, head: Head, query: &Query) -> Result<History, Problem> {
    let id = around.id;
    let found = reader.events_before(id, query.before.unwrap_or(i64::MAX), MOST)?;
    let last = found.last().filter(|_| found.len() == MOST).map(|row| row.seq);
    let address = format!("/runs/{id}/history");
    Ok(History {
        frame: around
            .frame(query.before.map_or_else(|| address.clone(), |before| format!("{address}?before={before}"))),
        head,
        events: found.iter().map(told).collect(),
        older: last.map(|seq| format!("{address}?before={seq}")),
        newest: query.before.map(|_| address),
    })
}

/// An event in words: its kind, its step, and the rest of its fields.
fn told(row: &EventRow) -> Told {
    let mut fields = match json!(row.event) {
        Value::Object(fields) => fields,
        other => return Told { at: When::new(row.at), what: other.to_string(), step: None, detail: String::new() },
    };
    let mut text = |name: &str| fields.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let what = text("kind").or_else(|| text("type")).unwrap_or_default().replace('_', " ");
    let step = text("step");
    for long in [
        "with",
        "key",
        "lease_expires_at",
        "spec_digest",
        "options",
        "fence",
        "environment",
        "inputs",
        "items",
        "state",
    ] {
        fields.remove(long);
    }
    let detail = fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    });
    let detail = cut(&visible_line(&detail.collect::<Vec<_>>().join(", ")), LONGEST);
    Told { at: When::new(row.at), what, step, detail }
}
