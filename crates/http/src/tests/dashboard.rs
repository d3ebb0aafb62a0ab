//! The dashboard for Grafana asks only for what `/metrics` has, in ways that Prometheus can answer.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::header;
use serde_json::Value;

use super::fixture::{Lab, bearer, request};
use crate::gauges::OF_TRAININGS;

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// Words of queries that are no names: functions, aggregations and keywords.
const WORDS: [&str; 5] = ["sum", "by", "rate", "histogram_quantile", "le"];

#[derive(Clone, Default, Debug)]
struct Series {
    kind: String,
    labels: BTreeSet<String>,
}

/// Every series of the text format by its name, such as `a_bucket`.
fn exposed(text: &str) -> BTreeMap<String, Series> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found: BTreeMap<String, Series> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name, kind);
        }
        if line.starts_with('#') {
            continue;
        }
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let kind = kinds.get(name).or_else(|| kinds.get(base?)).unwrap_or_else(|| panic!("{name} has no type"));
        let entry = found.entry(name.to_owned()).or_default();
        entry.kind = (*kind).to_owned();
        let labels = labels.split("\",").filter_map(|label| label.split_once('='));
        entry.labels.extend(labels.map(|(label, _)| label.to_owned()));
    }
    found
}

fn known() -> BTreeMap<String, Series> {
    let lab = Lab::new();
    lab.submit("a");
    let scrape = request("GET", "/metrics").header(header::AUTHORIZATION, bearer(&lab.read));
    let answer = lab.send(scrape.body(Body::empty()).unwrap());
    let mut known = exposed(&String::from_utf8(lab.body(answer)).unwrap());
    // Only a training that works has these, with the labels of all numbers of a run.
    let of_run = known["stepwell_run_progress_ratio"].clone();
    known.extend(OF_TRAININGS.iter().map(|(_, name, _)| ((*name).to_owned(), of_run.clone())));
    known
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    text.split(move |c| !is_part(c)).filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Problems of a query and its legend; the names that it asks for are added to `asked`.
fn problems(known: &BTreeMap<String, Series>, expr: &str, legend: &str, asked: &mut BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let is_name = |word: &&str| word.starts_with("stepwell_") || word.starts_with("vllm:");
    let names: Vec<&str> = words(expr).filter(is_name).collect();
    let [name] = names[..] else { return vec![format!("{expr}: asks for {names:?}")] };
    let Some(series) = known.get(name) else { return vec![format!("{expr}: there is no `{name}`")] };
    asked.insert(name.to_owned());
    let open = |of: char, end: char| expr.matches(of).count() == expr.matches(end).count();
    if !open('(', ')') || !open('[', ']') || !open('{', '}') {
        problems.push(format!("{expr}: a bracket has no other end"));
    }
    let is_rate = expr.contains(&format!("rate({name}["));
    if is_rate == (series.kind == "gauge") {
        problems.push(format!("{expr}: `{name}` is a {}", series.kind));
    }
    if expr.contains("histogram_quantile") != name.ends_with("_bucket") {
        problems.push(format!("{expr}: a quantile is one of the buckets of a histogram"));
    }
    // The legend can name only labels that the aggregation keeps.
    let kept = expr.split_once("by (").map(|(_, rest)| words(rest.split(')').next().unwrap()).collect::<BTreeSet<_>>());
    let has = |label: &str| series.labels.contains(label) && kept.as_ref().is_none_or(|kept| kept.contains(label));
    let others = words(expr).filter(|word| !is_name(word) && !WORDS.contains(word));
    problems
        .extend(others.filter(|word| !series.labels.contains(*word)).map(|word| format!("{expr}: what is `{word}`?")));
    let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label.trim());
    problems
        .extend(shown.filter(|label| !has(label)).map(|label| format!("{legend}: `{name}` has no label `{label}`")));
    problems
}

#[test]
fn every_query_can_be_answered_and_every_panel_has_its_place() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/monitoring/grafana.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    let source = format!("${{{}}}", dashboard["templating"]["list"][0]["name"].as_str().unwrap());
    let known = known();
    let (mut ids, mut taken, mut asked, mut found) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id of {title}");
        assert_eq!(panel["datasource"]["uid"], source, "{title}");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= COLUMNS, "{title} is too wide");
        for cell in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(taken.insert((place("x") + cell.0, place("y") + cell.1)), "{title} covers another panel");
        }
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        let mut names = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert!(names.insert(target["refId"].as_str().unwrap()), "two queries of {title} have one name");
            let (expr, legend) =
                (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap_or_default());
            found.extend(problems(&known, expr, legend, &mut asked));
        }
        assert!(!names.is_empty(), "{title} asks for nothing");
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(asked.len() >= 13, "{asked:?}");
}

#[test]
fn wrong_queries_are_found() {
    let known = known();
    let problems = |expr: &str, legend: &str| problems(&known, expr, legend, &mut BTreeSet::new());
    assert_eq!(problems("stepwell_runs > 0", "{{status}}"), [""; 0]);
    for (expr, legend) in [
        ("stepwell_run_lost", ""),
        ("stepwell_events", ""),
        ("stepwell_events_total", ""),
        ("rate(stepwell_runs[1m])", ""),
        ("sum by (class) (rate(stepwell_http_requests_total[1m])", ""),
        ("sum by (kind) (rate(stepwell_http_requests_total[1m]))", ""),
        ("sum by (class) (rate(stepwell_http_requests_total[1m]))", "{{run}}"),
        ("histogram_quantile(0.99, rate(stepwell_http_request_duration_seconds[5m]))", ""),
        ("stepwell_runs", "{{run}}"),
        ("avg(stepwell_run_loss)", ""),
    ] {
        assert!(!problems(expr, legend).is_empty(), "{expr} {legend}");
    }
}
