//! `GET /runs/{run}/params`: the parameters of a run, and the text of its workflow.

use askama::Template;
use serde_json::{Map, Value};

use super::super::parts::{Frame, Shown, value_text};
use super::head::{Around, Head, Tab, ViewOfRun};
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use stepwell_store::{Reader, RunParams};

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/params", Access::READ, params, Doc::new("page", "Shows the parameters of a run"))]
}

#[derive(Template)]
#[template(path = "params.html")]
struct Params {
    frame: Frame,
    head: Head,
    changed: Vec<Param>,
    others: Vec<Param>,
    project: Option<String>,
}

pub struct Param {
    pub name: String,
    pub value: String,
    pub default: Option<String>,
}

async fn params(view: ViewOfRun) -> Shown {
    view.show(Tab::Parameters, page).await
}

fn page(reader: &Reader, around: &Around, head: Head) -> Result<Params, Problem> {
    let id = around.id;
    let params = reader.params_of(&[id])?.remove(&id).unwrap_or_default();
    let (changed, others) = split(&params);
    let project = reader.run(id)?.options.project.as_ref().map(|project| project.line());
    Ok(Params { frame: around.frame(format!("/runs/{id}/params")), head, changed, others, project })
}

/// Parameters that differ from their defaults, and the others.
fn split(params: &RunParams) -> (Vec<Param>, Vec<Param>) {
    let nothing = Map::new();
    let defaults = by_path(params.defaults.as_ref().unwrap_or(&nothing));
    let default = |path: &str| defaults.iter().find(|(known, _)| known == path).map(|(_, value)| value);
    let all = by_path(&params.params).into_iter().map(|(name, value)| {
        let default = default(&name).filter(|default| **default != value).map(value_text);
        Param { value: value_text(&value), default, name }
    });
    all.partition(|param| param.default.is_some())
}

/// The values of tables by their paths, such as `optimizer.lr`.
pub fn by_path(params: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    add("", params, &mut found);
    found
}

fn add(before: &str, params: &Map<String, Value>, found: &mut Vec<(String, Value)>) {
    for (name, value) in params {
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        match value {
            Value::Object(table) if !table.is_empty() => add(&path, table, found),
            other => found.push((path, other.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_params_come_with_their_defaults() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let params = RunParams {
            params: map(json!({ "lr": 0.1, "model": { "layers": 4, "width": 64 }, "seed": 1 })),
            defaults: Some(map(json!({ "lr": 0.2, "model": { "layers": 2, "width": 64 } }))),
        };
        let (changed, others) = split(&params);
        let text = |params: Vec<Param>| -> Vec<String> {
            params.into_iter().map(|param| format!("{}={} {:?}", param.name, param.value, param.default)).collect()
        };
        assert_eq!(text(changed), ["lr=0.10000 Some(\"0.20000\")", "model.layers=4 Some(\"2\")"]);
        assert_eq!(text(others), ["model.width=64 None", "seed=1 None"]);
    }
}
