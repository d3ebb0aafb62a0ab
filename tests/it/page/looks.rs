//! Both themes, a desk and a phone: nothing is wider than the screen, and every page is clean.

use serde_json::json;

use super::artifacts::TREE;
use super::batches::{batch, row};
use super::browser::Browser;
use super::server::{CURVE, start_with_model};
use super::steer::{FAILS, GATE};

#[test]
fn every_page_fits_a_phone_and_a_desk_in_both_themes() {
    let Some((sandbox, server, mut browser)) =
        start_with_model(&[("w.toml", CURVE), ("tree.toml", TREE), ("fails.toml", FAILS), ("gate.toml", GATE)])
    else {
        return;
    };
    // Before the others: `last` is none of their runs.
    let good = batch(&mut browser, &[row("one", 30, ""), row("two", 4, ",\"n\":1000000000")].join("\n"));
    let bad = batch(&mut browser, &format!("{}\nno request\n", row("one", 4, "")));
    for (page, state) in [(&good, "completed"), (&bad, "failed")] {
        browser.open(&format!("{}{page}", server.url));
        browser.wait_text(".run-head .state", state);
    }
    for (workflow, name) in [("tree.toml", "tree"), ("fails.toml", "fails"), ("gate.toml", "gate")] {
        sandbox.stepwell(&["run", "--detach", workflow, "--name", name]).ok();
    }
    let add = ["schedule", "add", "nightly", "tree.toml", "--cron", "0 3 * * *"];
    sandbox.stepwell(&add).ok();
    sandbox.stepwell(&["run", "--detach", "w.toml", "-S", "steps=60", "-S", "pause=0.01", "--tag", "small"]).ok();
    sandbox
        .stepwell(&["run", "--detach", "w.toml", "--name", "long-name-that-has-no-place-to-break-in-a-narrow-column"])
        .ok();
    browser.open(&format!("{}/runs", server.url));
    for state in ["succeeded", "failed", "waits"] {
        browser.wait_text("tbody", state);
    }
    let digest = sandbox.query("SELECT digest FROM step_output ORDER BY name DESC").remove(0);
    let folder = format!("/artifacts/{digest}");
    let origin = format!("{folder}/provenance");
    let pages = [
        "/runs",
        "/runs/last",
        "/runs/last/curves",
        "/runs/last/logs",
        "/runs/last/samples",
        "/runs/last/artifacts",
        "/runs/last/params",
        "/runs/last/history",
        "/runs/last/steps/train",
        "/runs/fails",
        "/runs/fails/steps/broken",
        "/runs/gate",
        "/runs/tree/artifacts",
        &folder,
        &origin,
        "/new",
        "/new/text",
        "/new/workflow/commands",
        "/batches",
        &good,
        &bad,
        "/playground",
        "/pools",
        "/schedules",
    ];
    let mut found = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        for (width, height) in [(1280, 900), (390, 844)] {
            browser.size(width, height);
            for page in pages {
                browser.open(&format!("{}{page}", server.url));
                assert_eq!(browser.eval("document.documentElement.dataset.theme"), scheme);
                let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
                assert!(wide <= u64::from(width), "{page} is {wide} wide on a screen of {width}");
                let name = page.trim_start_matches('/').replace('/', "-");
                browser.picture(&format!("{scheme}-{width}-{name}"));
                found.extend(violations(&mut browser).into_iter().map(|one| format!("{scheme} {width} {page}: {one}")));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    browser.is_clean();
}

/// Serious findings of axe-core, if `$STEPWELL_AXE` names its script (`scripts/axe.sh`).
fn violations(browser: &mut Browser) -> Vec<String> {
    let Some(path) = std::env::var_os("STEPWELL_AXE") else { return Vec::new() };
    browser.eval(&format!("{};0", std::fs::read_to_string(path).unwrap()));
    let found = browser.eval("axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations)");
    let serious = |one: &&serde_json::Value| [json!("serious"), json!("critical")].contains(&one["impact"]);
    let told = |one: &serde_json::Value| format!("{}: {}", one["id"], one["nodes"][0]["failureSummary"]);
    found.as_array().unwrap().iter().filter(serious).map(told).collect()
}
