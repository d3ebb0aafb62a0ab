//! The page over the death of its server.

use super::server::{CURVE, start};

#[test]
fn the_page_comes_back_after_the_server_was_killed() {
    let Some((sandbox, mut server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml", "-S", "steps=200"]).ok();
    browser.open(&format!("{}/runs/last", server.url));
    browser.wait("a curve", "document.querySelector('[data-charts] canvas')");
    browser.eval("window.same = true");
    for _ in 0..2 {
        browser.wait_text("[data-link-state]", "live");
        server.kill();
        browser.wait_text("[data-link-state]", "connecting");
        server.restart(&sandbox);
        browser.wait_text("[data-link-state]", "live");
    }
    browser.forgive();
    browser.wait_text(".run-head .state", "succeeded");
    assert_eq!(browser.eval("window.same"), true, "the same page, not a new one");
    browser.wait_text(".chart .summary", "at step 200");
    let curve = browser.eval("document.querySelector('[data-curves]').curves.points('loss')");
    let stored = sandbox.query("SELECT train_step || ' ' || loss FROM metric ORDER BY train_step");
    let shown: Vec<String> =
        curve.as_array().unwrap().iter().map(|point| format!("{} {}", point[0], point[1])).collect();
    assert_eq!(shown, stored, "the curve is that of the database");
    browser.is_clean();
}
