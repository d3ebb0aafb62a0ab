//! From the login to a finished run.

use super::server::{CURVE, start};

#[test]
fn a_run_is_started_by_keyboard_watched_paused_and_resumed() {
    let Some((sandbox, server, mut browser)) = start(&[]) else { return };
    // The text of a workflow, with a mistake first.
    browser.open(&format!("{}/new/text", server.url));
    browser.tab_to("#text");
    browser.eval("document.activeElement.select()");
    browser.type_text(&CURVE.replace("kind = \"command\"", "kind = \"comand\""));
    browser.press("Escape");
    browser.tab_to("button[value=start]");
    browser.press("Enter");
    browser.wait_text(".problems", "comand");
    browser.wait_text(".problems [data-line]", "Line 16");
    browser.forgive();
    browser.tab_to("#text");
    browser.eval("document.activeElement.select()");
    browser.type_text(CURVE);
    browser.press("Escape");
    browser.tab_to("#run-name");
    browser.type_text("first");
    browser.tab_to("button[value=start]");
    browser.press("Enter");
    browser.wait("the page of the run", "location.pathname.startsWith('/runs/')");
    browser.wait_text("h1", "first");

    // The curve moves by itself.
    browser.wait("a curve", "document.querySelector('[data-charts] canvas')");
    let last = "Number(/at step ([\\d,]+)/.exec(document.querySelector('.chart .summary')?.innerText ?? '')?.[1].replace(',', '') ?? 0)";
    browser.wait("the first points", &format!("{last} > 3"));
    let before = browser.eval(last).as_u64().unwrap();
    browser.wait("more points", &format!("{last} > {before} + 10"));
    browser.wait_text("#steps", "of 2000");

    browser.tab_to("form[action$=pause] button");
    browser.press("Enter");
    browser.wait_text(".notices", "Paused");
    browser.wait_text(".run-head .state", "paused");
    assert_eq!(sandbox.query("SELECT status FROM run"), ["paused"]);
    browser.picture("paused");
    browser.tab_to("form[action$=resume] button");
    browser.press("Enter");
    browser.wait_text(".run-head .state", "running");
    let before = browser.eval(last).as_u64().unwrap();
    browser.wait("the curve goes on", &format!("{last} > {before} + 5"));
    browser.wait("the resume is marked", "document.querySelector('[data-curves]').dataset.marks.includes('attempt 2')");

    // Cancelling asks first; Escape leaves all as it is.
    browser.click("[data-dialog=cancel-dialog]");
    browser.wait("the question", "document.querySelector('#cancel-dialog').open");
    browser.press("Escape");
    browser.wait("it is closed", "!document.querySelector('#cancel-dialog').open");
    assert_eq!(sandbox.query("SELECT status FROM run"), ["running"]);
    browser.click("[data-dialog=cancel-dialog]");
    browser.click("#cancel-dialog button.danger");
    browser.wait_text(".run-head .state", "canceled");
    browser.is_clean();
}

#[test]
fn a_log_is_read_live_and_is_only_text() {
    let Some((sandbox, server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml"]).ok();
    browser.open(&format!("{}/runs/last/logs", server.url));
    browser.wait("lines", "document.querySelectorAll('.log li').length > 3");
    let before = browser.eval("document.querySelectorAll('.log li').length").as_u64().unwrap();
    browser.wait("more lines", &format!("document.querySelectorAll('.log li').length > {before} + 3"));
    let first = browser.text(".log li");
    assert_eq!(first, "step 1 hello <b id=injected>bold</b> red \\x1b]0;title\\x07");
    assert!(browser.eval("document.querySelector('#injected')").is_null(), "a log becomes markup");
    browser.fill("#log-q", "STEP 2 ");
    browser.wait_text("#log-view [role=status]", "1 line");
    let found = browser.text(".log li");
    assert!(found.starts_with('2') && found.contains("step 2 hello <b id=injected>bold</b>"), "{found}");
    assert!(browser.eval("document.querySelector('#injected')").is_null(), "a line that was found becomes markup");
    browser.picture("log");
    browser.is_clean();
}
