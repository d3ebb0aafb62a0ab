//! A matrix of measurements: cells that were measured stay, whatever is killed.

use serde_json::Value;

use super::model::tiny_model;
use crate::harness::{Sandbox, eventually};

fn arguments(sandbox: &Sandbox, tokens: u32) -> Vec<String> {
    let set = [
        format!("models=[{:?}]", sandbox.path("model")),
        "dtypes=[\"f32\", \"bf16\"]".to_owned(),
        "batches=[8]".to_owned(),
        "concurrency=[1, 4]".to_owned(),
        "prompt_words=8".to_owned(),
        format!("max_tokens={tokens}"),
        "title=<b>Tiny</b>".to_owned(),
    ];
    ["run", "matrix", "--name", "m"].into_iter().map(str::to_owned).chain(set.map(|set| format!("-S{set}"))).collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn report(sandbox: &Sandbox) -> (Value, String) {
    let run = std::fs::read_dir(sandbox.path("exports")).unwrap().next().expect("an export").unwrap().path();
    let read = |name: &str| std::fs::read_to_string(run.join("report").join(name)).unwrap();
    (serde_json::from_str(&read("matrix.json")).unwrap(), read("matrix.html"))
}

#[test]
fn every_cell_is_measured_once_over_a_kill_and_reported() {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let mut engine = sandbox.start(&words(&arguments(&sandbox, 400)));
    let measured = || sandbox.query("SELECT id FROM step WHERE id LIKE 'cell[%' AND status = 'succeeded'");
    eventually("a cell is measured", || sandbox.query_count("step") > 0 && !measured().is_empty());
    engine.kill().unwrap();
    engine.wait().unwrap();
    let kept = measured();
    sandbox.stepwell(&["resume", "m"]).ok();
    for id in &kept {
        assert_eq!(sandbox.query(&format!("SELECT attempts FROM step WHERE id = '{id}'")), ["1"], "{id}");
    }
    let (report, page) = report(&sandbox);
    assert_eq!(report["cells"].as_array().unwrap().len(), 4, "{report}");
    for cell in report["cells"].as_array().unwrap() {
        let measured = &cell["measured"];
        assert_eq!((measured["completed"].as_u64(), measured["failed"].as_u64()), (Some(8), Some(0)), "{cell}");
        assert_eq!(measured["completion_tokens"].as_u64(), Some(8 * 400), "{cell}");
    }
    let best = &report["best"]["tokens_per_second"];
    let most =
        report["cells"].as_array().unwrap().iter().filter_map(|cell| cell["measured"]["tokens_per_second"].as_f64());
    assert_eq!(best["measured"]["tokens_per_second"].as_f64(), most.reduce(f64::max));
    assert!(page.contains("&lt;b&gt;Tiny") && !page.contains("<b>Tiny"), "{page}");
}

#[test]
fn a_matrix_without_models_says_what_to_set() {
    let sandbox = Sandbox::new();
    let refused = sandbox.stepwell(&["run", "matrix"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("models"), "{}", refused.stderr);
}
