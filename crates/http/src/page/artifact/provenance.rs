//! `GET /artifacts/{digest}/provenance`: the steps behind an artifact, from its imports to itself.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use serde_json::Value;

use super::super::parts::{Frame, Here, Shown, When, command, cut, short_id, show, value_text};
use super::super::run::params::by_path;
use super::super::runs::encoded;
use crate::api::content::artifacts::parse;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use jiff::Timestamp;
use stepwell_base::ids::RunId;
use stepwell_base::visible::visible;
use stepwell_run::project::GitState;
use stepwell_run::provenance::{Node, Provenance};
use stepwell_store::Reader;

/// Steps, and lines of each of their lists.
const MOST_NODES: usize = 100;
const MOST_LINES: usize = 50;
/// Digits of a digest in a list.
const SHORT_DIGEST: usize = 12;
const LONGEST: usize = 300;

pub fn routes() -> Vec<Route> {
    let doc = Doc::new("page", "Shows where an artifact comes from");
    vec![Route::get("/artifacts/{digest}/provenance", Access::READ, provenance, doc)]
}

#[derive(Template)]
#[template(path = "provenance.html")]
struct Page {
    frame: Frame,
    name: String,
    artifact: Link,
    digest: String,
    own_digest: String,
    written_by: String,
    json: String,
    /// Imports first.
    steps: Vec<Step>,
    left_out: usize,
    environments: Vec<Environment>,
    decisions: Vec<Decided>,
    commands: Vec<String>,
}

struct Link {
    text: String,
    href: String,
}

struct Step {
    id: String,
    number: usize,
    step: Link,
    run: Link,
    /// The run that did the work, if it is another one.
    worked_in: Option<Link>,
    kind: String,
    /// Each with the step that made it.
    inputs: Vec<(Link, String)>,
    outputs: Vec<(Link, String)>,
    attempts: Vec<String>,
    checkpoints: usize,
    git: Option<String>,
    arguments: Vec<(String, String)>,
}

struct Environment {
    id: String,
    text: String,
    values: Vec<(String, String)>,
}

struct Decided {
    at: When,
    step: String,
    rule: String,
    verdict: String,
    who: String,
    comment: String,
}

async fn provenance(State(app): State<AppState>, PathOf(digest): PathOf<String>) -> Shown {
    let digest = parse(&digest)?;
    let (told, engine) = app
        .ask(move |desk| Ok::<_, Problem>((desk.provenance(&digest).map_err(Problem::from)?, desk.engine())))
        .await?;
    let manifest: Provenance =
        serde_json::from_value(told).map_err(|error| Problem::internal("reading the provenance", &error))?;
    let names = app.read(move |reader| Ok((names(reader, &manifest), manifest))).await;
    let (names, manifest) = names?;
    let digest = &manifest.artifact.digest;
    let frame = Frame::live(Here::Runs, format!("/artifacts/{digest}/provenance"), &engine);
    show(&page(&manifest, &names, frame))
}

/// The names of the runs that can still be read.
fn names(reader: &Reader, manifest: &Provenance) -> HashMap<RunId, String> {
    let shown = manifest.nodes.iter().rev().take(MOST_NODES);
    let runs = shown.flat_map(|node| [node.run, node.executed_in]);
    runs.filter_map(|run| Some((run, reader.run(run).ok()?.name))).collect()
}

fn page(manifest: &Provenance, names: &HashMap<RunId, String>, frame: Frame) -> Page {
    let digest = manifest.artifact.digest.as_str();
    // Those nearest to the artifact stay.
    let left_out = manifest.nodes.len().saturating_sub(MOST_NODES);
    let steps = manifest.nodes.iter().enumerate().skip(left_out);
    let environments = manifest.environments.iter().take(MOST_LINES).map(|(digest, value)| environment(digest, value));
    let decisions = manifest.decisions.iter().take(MOST_LINES);
    Page {
        frame,
        name: visible(&manifest.output).into_owned(),
        artifact: Link { text: short(digest), href: format!("/artifacts/{digest}") },
        digest: digest.to_owned(),
        own_digest: manifest.digest.clone(),
        written_by: visible(&manifest.written_by).into_owned(),
        json: format!("/api/v1/artifacts/{digest}/provenance"),
        steps: steps.map(|(index, node)| step(manifest, names, index, node)).collect(),
        left_out,
        environments: environments.collect(),
        decisions: decisions
            .map(|decision| Decided {
                at: When::new(decision.at),
                step: decision.step.to_string(),
                rule: text(&decision.ruling.rule),
                verdict: decision.ruling.verdict.as_str().to_owned(),
                who: decision.ruling.approver.as_deref().map_or_else(|| "the rule".to_owned(), text),
                comment: decision.ruling.comment.as_deref().map(text).unwrap_or_default(),
            })
            .collect(),
        commands: vec![
            command("artifact provenance --out provenance.json", [digest]),
            command("artifact verify --provenance provenance.json COPY", []),
        ],
    }
}

fn step(manifest: &Provenance, names: &HashMap<RunId, String>, index: usize, node: &Node) -> Step {
    let run = |run: RunId| Link {
        text: names.get(&run).map_or_else(|| short_id(run), |name| visible(name).into_owned()),
        href: format!("/runs/{run}"),
    };
    let input = |input: &stepwell_run::provenance::Input| {
        let maker = input.producer.and_then(|index| Some((index, manifest.nodes.get(index)?)));
        let maker = match maker {
            Some((index, node)) => {
                let output = node.outputs.iter().find(|(_, artifact)| artifact.digest == input.digest);
                let name = output.map(|(name, _)| format!(" {}", visible(name))).unwrap_or_default();
                format!("{name} of step {} ({})", index + 1, node.step)
            }
            None => " from a parameter".to_owned(),
        };
        (artifact_link(input.digest.as_str()), maker.trim().to_owned())
    };
    let attempts = node.attempts.iter().rev().take(MOST_LINES).map(|attempt| {
        let lasted = attempt.finished_at.as_ref().map_or_else(String::new, |end| format!(" to {}", second(end)));
        let place = attempt.environment.as_ref().map_or_else(String::new, |digest| format!(", on {}", short(digest)));
        format!("{} {}, {}{lasted}{place}", attempt.attempt, attempt.status, second(&attempt.started_at))
    });
    let with = node.with.as_object().map(by_path).unwrap_or_default();
    let files = node.fingerprint.as_array().map_or(0, Vec::len);
    let mut arguments: Vec<(String, String)> =
        with.iter().take(MOST_LINES).map(|(path, value)| (visible(path).into_owned(), value_text(value))).collect();
    if files > 0 {
        arguments.push(("outside of the arguments".to_owned(), value_text(&node.fingerprint)));
    }
    Step {
        id: format!("step-{}", index + 1),
        number: index + 1,
        step: Link {
            text: node.step.to_string(),
            href: format!("/runs/{}/steps/{}", node.run, encoded(node.step.as_str())),
        },
        run: run(node.run),
        worked_in: (node.executed_in != node.run).then(|| run(node.executed_in)),
        kind: format!("{} (version {})", node.kind, node.kind_version),
        inputs: node.inputs.iter().take(MOST_LINES).map(input).collect(),
        outputs: node
            .outputs
            .iter()
            .take(MOST_LINES)
            .map(|(name, artifact)| (artifact_link(artifact.digest.as_str()), visible(name).into_owned()))
            .collect(),
        attempts: attempts.collect(),
        checkpoints: node.checkpoints.len(),
        git: node.git.as_ref().map(git),
        arguments,
    }
}

fn environment(digest: &str, value: &Value) -> Environment {
    let values = value.as_object().map(by_path).unwrap_or_default();
    Environment {
        id: format!("environment-{digest}"),
        text: short(digest),
        values: values
            .iter()
            .take(MOST_LINES)
            .map(|(path, value)| (visible(path).into_owned(), value_text(value)))
            .collect(),
    }
}

fn git(state: &GitState) -> String {
    let branch = state.branch.as_ref().map_or_else(String::new, |branch| format!(" on {}", visible(branch)));
    let changes = match &state.uncommitted {
        None => "no uncommitted changes".to_owned(),
        Some(changes) if changes.files == 1 => "1 file with uncommitted changes".to_owned(),
        Some(changes) => format!("{} files with uncommitted changes", changes.files),
    };
    format!("commit {}{branch}, {changes}", short(&state.commit))
}

fn artifact_link(digest: &str) -> Link {
    Link { text: short(digest), href: format!("/artifacts/{digest}") }
}

fn short(digest: &str) -> String {
    digest.chars().take(SHORT_DIGEST).collect()
}

fn text(text: &str) -> String {
    cut(&visible(text), LONGEST)
}

/// A recorded time to the second; a time that cannot be read stays as it is.
fn second(at: &str) -> String {
    at.parse::<Timestamp>().map_or_else(|_| text(at), |at| When::new(at).text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use stepwell_base::artifact::{ArtifactRef, Digest};
    use stepwell_base::ids::StepKey;
    use stepwell_run::provenance::{AttemptRecord, Input};
    use uuid::Uuid;

    use super::*;
    use crate::desk::EngineView;

    fn artifact(text: &str) -> ArtifactRef {
        let digest = Digest::of(text.as_bytes());
        ArtifactRef { digest, size: 1, media_type: "text/plain".to_owned() }
    }

    fn node(step: &str, inputs: Vec<Input>, made: &str) -> Node {
        let run = RunId(Uuid::nil());
        let attempt = AttemptRecord {
            attempt: 1,
            status: "succeeded".to_owned(),
            started_at: "2026-11-30T08:00:00.5Z".to_owned(),
            finished_at: Some("2026-11-30T08:00:09Z".to_owned()),
            reason: None,
            environment: Some("e".repeat(64)),
        };
        Node {
            run,
            workflow: "w".to_owned(),
            spec_digest: String::new(),
            step: step.into(),
            executed_in: RunId(Uuid::max()),
            executed_as: step.into(),
            kind: "command".to_owned(),
            kind_version: 1,
            key: StepKey("key".to_owned()),
            with: json!({ "argv": ["<b>", "x\u{1b}[2J"], "env": { "A": 1 } }),
            fingerprint: json!([["a.txt", "digest"]]),
            seeds: Map::new(),
            inputs,
            outputs: [("<i>out".to_owned(), artifact(made))].into(),
            attempts: vec![attempt],
            checkpoints: Vec::new(),
            git: Some(GitState { commit: "c".repeat(40), branch: Some("main".to_owned()), uncommitted: None }),
        }
    }

    fn shown(nodes: Vec<Node>) -> String {
        let last = nodes.last().and_then(|node| node.outputs.values().next()).unwrap().clone();
        let manifest = Provenance {
            version: 1,
            written_by: "stepwell 1".to_owned(),
            artifact: last,
            output: "<i>out".to_owned(),
            trees: Default::default(),
            nodes,
            environments: [("e".repeat(64), json!({ "cpu": { "model": "<u>" } }))].into(),
            decisions: Vec::new(),
            digest: "d".repeat(64),
        };
        let names = HashMap::from([(RunId(Uuid::nil()), "mine".to_owned())]);
        page(&manifest, &names, Frame::live(Here::Runs, "/x", &EngineView::Here)).render().unwrap()
    }

    #[test]
    fn a_reader_sees_the_steps_with_what_they_read_and_made() {
        let read = |producer| vec![Input { digest: artifact("text").digest, producer }];
        let html = shown(vec![
            node("make", Vec::new(), "text"),
            node("use", read(Some(0)), "result"),
            node("odd", read(None), "end"),
        ]);
        for text in [
            "1. <a href=\"/runs/00000000-0000-0000-0000-000000000000/steps/make\">make</a>",
            ">mine</a>, reused from",
            "out of step 1 (make)",
            "from a parameter",
            "command (version 1)",
            "attempt 1 succeeded, 2026-11-30 08:00:00Z to 2026-11-30 08:00:09Z, on eeeeeeeeeeee",
            "commit cccccccccccc on main, no uncommitted changes",
            "env.A",
            "a.txt",
            "cpu.model",
            "stepwell artifact provenance --out provenance.json",
        ] {
            assert!(html.contains(text), "`{text}` is not in {html}");
        }
        assert!(
            !html.contains("<i>") && !html.contains("<u>") && !html.contains("<b>") && !html.contains('\u{1b}'),
            "{html}"
        );
    }

    #[test]
    fn a_long_history_keeps_what_is_nearest() {
        let html = shown((0..150).map(|number| node(&format!("s{number}"), Vec::new(), &number.to_string())).collect());
        assert!(
            html.contains("50 earlier steps are only in the JSON") && html.contains("150. ") && html.contains("51. ")
        );
        assert!(!html.contains("s49<"), "{html}");
    }
}
