//! The parameters of a run: first those that differ from their defaults.

use serde_json::{Map, Value};

use crate::view::extent::Extent;
use crate::view::output::table;
use crate::view::value_text::{leaves, short};
use crate::view::words::count;
use stepwell_base::shell;
use stepwell_store::RunParams;

/// Most parameters to show, unless the full list is requested.
const MOST_PARAMS: usize = 30;

/// A table of parameters; all of them for a run of a build that did not record which ones were set.
pub(super) fn changed_params(params: &RunParams, extent: Extent, handle: &str) -> String {
    if params.params.is_empty() {
        return String::new();
    }
    let mut rows = rows(params, extent);
    let show_all = shell::stepwell("show --all", [handle]);
    let mut notes = String::new();
    if extent == Extent::Screen && rows.len() > MOST_PARAMS {
        notes = format!("and {} more: {show_all}\n", rows.len() - MOST_PARAMS);
        rows.truncate(MOST_PARAMS);
    }
    let mut header = vec!["param", "value"];
    if let Some(defaults) = &params.defaults {
        header.push("default");
        let others = (params.params.len() - defaults.len()) as u64;
        if extent == Extent::Screen && others > 0 {
            let noun = if defaults.is_empty() { "param" } else { "more param" };
            let have = if others == 1 { "has its default" } else { "have their defaults" };
            notes.push_str(&format!("{} {have}: {show_all}\n", count(others, noun)));
        }
    }
    let mut text = "\n".to_owned();
    if !rows.is_empty() {
        text.push_str(&table(&header, rows));
    }
    text + &notes
}

fn rows(params: &RunParams, extent: Extent) -> Vec<Vec<String>> {
    let all = by_path(&params.params);
    let Some(defaults) = &params.defaults else {
        return all.iter().map(|(path, value)| vec![path.clone(), short(value)]).collect();
    };
    let replaced = by_path(defaults);
    let default = |path: &String| replaced.iter().find(|(known, _)| known == path).map(|(_, default)| default);
    let differs = |path: &String, value: &Value| {
        let name = path.split('.').next().unwrap_or(path);
        defaults.contains_key(name) && default(path) != Some(value)
    };
    let row = |(path, value): &(String, Value)| {
        let default = default(path).filter(|_| differs(path, value)).map(short).unwrap_or_default();
        vec![path.clone(), short(value), default]
    };
    let (changed, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, value)| differs(path, value));
    let others = if extent == Extent::All { others } else { Vec::new() };
    changed.iter().chain(&others).map(row).collect()
}

fn by_path(params: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    leaves("", params, &mut found);
    found
}
