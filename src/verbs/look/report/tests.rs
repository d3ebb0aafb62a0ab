use serde_json::json;

use super::page::page;
use crate::tests::lab::{Lab, Sketch};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_run::event::{Event, RunEvent, StepEventKind};
use stepwell_store::Reader;

const EVIL: &str = "<script>alert(1)</script>";
const WORKFLOW: &str = "name = \"w\"\nparams = { lr = 0.5, text = \"x\" }\n\
    [[step]]\nid = \"train\"\nkind = \"command\"\nwith.shell = \"true\"\n\
    [[step]]\nid = \"wide\"\nkind = \"command\"\nfor_each = \"range(10000)\"\nwith.shell = \"true\"\n";

fn written(lab: &Lab, runs: &[RunId]) -> String {
    page(&lab.session(), &Reader::open(lab.path()).unwrap(), runs).unwrap()
}

/// The names of elements, in order, of a part of a page.
fn count(page: &str, element: &str) -> usize {
    page.matches(&format!("<{element}")).count()
}

#[test]
fn a_report_has_every_part_and_asks_nobody() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "base", workflow: WORKFLOW, set: &[("lr", "0.1")], ..Sketch::default() });
    lab.ready(run, 0, "train");
    lab.start(run, 0, "train");
    (1..=50).for_each(|step| lab.metric(run, "train", step, 3.0 / step as f64));
    let outputs = json!({ "loss": 1.25 }).as_object().unwrap().clone();
    let outputs = stepwell_base::artifact::Outputs { values: outputs, ..Default::default() };
    lab.commit(run, 9, [StepEventKind::Succeeded { outputs }.under("train".into(), Fence(1))]);
    let page = written(&lab, &[run]);
    for part in
        ["<h1>base</h1>", "id=\"results\"", "id=\"curves\"", "id=\"parameters\"", "id=\"steps\"", "id=\"environment\""]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("<th scope=\"row\">lr</th>\n<td>0.1</td>"), "{page}");
    assert_eq!(count(&page, "svg viewBox=\"0 0 460 210\""), 4, "loss on a phone, learning rate, gradient norm, speed");
    for request in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<img"] {
        assert!(!page.contains(request), "{request}");
    }
    let opened = page.matches('<').count() - page.matches("</").count();
    let closed = page.matches("</").count();
    assert!(opened > closed && opened - closed <= 8, "{opened} elements are opened, {closed} are closed");
}

#[test]
fn text_from_outside_is_escaped_everywhere() {
    let mut lab = Lab::new();
    let workflow = WORKFLOW.replace("text = \"x\"", &format!("text = \"{EVIL}\""));
    let run = lab.run(Sketch { name: "<script>alert(1)<script>", workflow: &workflow, ..Sketch::default() });
    lab.ready(run, 0, "train");
    lab.start(run, 0, "train");
    lab.measure(run, "train", 1, &[(EVIL, 1.0), ("a/<script>", 2.0)]);
    lab.measure(run, "train", 2, &[(EVIL, 2.0), ("a/<script>", 1.0)]);
    let failure = Failure::fatal(format!("the log says\n{EVIL}")).with_hint(EVIL);
    lab.commit(run, 9, [StepEventKind::Failed { failure }.under("train".into(), Fence(1))]);
    lab.commit(run, 9, [Event::Run(RunEvent::Failed { step: "train".into(), failure: Failure::fatal(EVIL) })]);
    let page = written(&lab, &[run]);
    assert!(!page.contains("<script"), "{page}");
    for place in
        ["<h1>&lt;script", "<title>&lt;script", "the log says\n&lt;script", "hint: &lt;script", "<td>&lt;script"]
    {
        assert!(page.contains(place), "{place}: {page}");
    }
}

#[test]
fn large_runs_have_small_reports() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "large", workflow: WORKFLOW, ..Sketch::default() });
    lab.ready(run, 0, "train");
    lab.start(run, 0, "train");
    lab.metrics(run, "train", (1..=100_000).map(|step| (step, if step == 77_777 { 99.0 } else { 1.0 })));
    lab.ready(run, 0, "wide");
    lab.expand(run, 0, "wide", (0..10_000).map(|item| json!(item)).collect());
    for item in [5, 4000, 9999] {
        lab.fail(run, 1, StepId::from("wide").child(item).as_str(), "broken");
    }
    let page = written(&lab, &[run]);
    assert!(page.len() < 300_000, "{}", page.len());
    assert!(page.contains("10000 items: 9997 ready, 3 failed") || page.contains("3 failed"), "{page}");
    assert!(page.contains("wide[4000]") && !page.contains("wide[4001]"));
    assert!(page.contains("<td>1</td>\n<td>1</td>") && count(&page, "path class=\"curve s0\"") >= 4);
}

#[test]
fn several_runs_are_drawn_over_each_other() {
    let mut lab = Lab::new();
    let runs: Vec<RunId> = [("one", "0.1"), ("two", "0.2")]
        .into_iter()
        .map(|(name, lr)| {
            let run = lab.run(Sketch { name, workflow: WORKFLOW, set: &[("lr", lr)], ..Sketch::default() });
            lab.ready(run, 0, "train");
            lab.start(run, 0, "train");
            (1..=9).for_each(|step| lab.metric(run, "train", step, 1.0 / step as f64));
            run
        })
        .collect();
    let page = written(&lab, &runs);
    assert!(page.contains("<h2>Differences</h2>"), "{page}");
    assert!(page.contains("<th scope=\"row\">lr</th>\n<td>0.1</td>\n<td>0.2</td>"), "{page}");
    assert_eq!(
        count(&page, "path class=\"curve s1\""),
        9,
        "a line and its legend in each of four charts, and the first for phones"
    );
}
