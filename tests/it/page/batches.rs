//! Batches: a file is chosen, rows are answered, what failed is told, and one that is no longer wanted is cancelled.

use serde_json::json;

use super::browser::Browser;
use super::server::{Server, start_with_model};
use crate::harness::Sandbox;

/// A request for the tiny model; `more` are further fields of its body.
pub fn row(id: &str, tokens: u32, more: &str) -> String {
    format!(
        "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{{\"model\":\"tiny\",\
         \"messages\":[{{\"role\":\"user\",\"content\":\"Hello {id}\"}}],\"max_tokens\":{tokens},\"ignore_eos\":true{more}}}}}"
    )
}

/// Starts a batch as a script does, with the session of the browser; returns the address of its page.
pub fn batch(browser: &mut Browser, rows: &str) -> String {
    let script = format!(
        "(async () => {{
            const form = new FormData();
            form.append('purpose', 'batch');
            form.append('file', new Blob([{}]), 'rows <b>.jsonl');
            const file = await (await fetch('/v1/files', {{ method: 'POST', body: form }})).json();
            const asked = {{ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }};
            const headers = {{ 'Content-Type': 'application/json' }};
            const answer = await fetch('/v1/batches', {{ method: 'POST', headers, body: JSON.stringify(asked) }});
            return '/batches/' + (await answer.json()).id;
        }})()",
        json!(rows)
    );
    browser.eval(&script).as_str().unwrap().to_owned()
}

#[test]
fn a_file_is_chosen_and_its_batch_is_watched_to_the_end() {
    let Some((sandbox, server, mut browser)) = start_with_model(&[]) else { return };
    sandbox
        .write("rows.jsonl", [row("one", 4, ""), row("two", 4, ",\"n\":1000000000"), row("three", 4, "")].join("\n"));
    browser.open(&format!("{}/batches", server.url));
    browser.wait_text("main", "No batches yet");
    browser.wait_text("main", "tiny");
    browser.tab_to("[data-dialog=add-batch]");
    browser.press("Enter");
    browser.wait("the form", "document.querySelector('#add-batch').open");
    browser.picture("batches-form");
    browser.choose_file("#batch-file", &sandbox.path("rows.jsonl"));
    browser.tab_to("#add-batch button.primary");
    browser.press("Enter");
    browser.wait("the page of the batch", "location.pathname.startsWith('/batches/batch_')");
    browser.wait_text(".run-head .state", "completed");
    browser.wait_text("h1", "rows.jsonl");
    browser.wait_text(".run-head", "3 of 3");
    browser.wait_text(".promise", "before it");
    browser.wait_text("[aria-labelledby=failures-title]", "invalid_value");
    browser.wait_text("[aria-labelledby=bad-title]", "two");
    browser.wait_text("[aria-labelledby=good-title]", "three");
    browser.picture("batch");
    let output = "(async () => (await fetch(document.querySelector('a[download$=\"output.jsonl\"]').href)).text())()";
    let output = browser.eval(output);
    assert!(output.as_str().unwrap().contains("\"custom_id\":\"three\""), "{output}");
    browser.tab_to("nav a[href='/batches']");
    browser.press("Enter");
    browser.wait_text("tbody", "3 of 3, 1 failed");
    browser.is_clean();
}

#[test]
fn bad_lines_are_named_and_their_text_stays_text() {
    let Some((_sandbox, server, mut browser)) = start_with_model(&[]) else { return };
    let rows = [row("one", 4, ""), "no request <b id=injected>".to_owned(), row("one", 4, "")].join("\n");
    browser.open(&format!("{}/batches", server.url));
    let page = batch(&mut browser, &rows);
    browser.open(&format!("{}{page}", server.url));
    browser.wait_text(".run-head .state", "failed");
    browser.wait_text("[aria-labelledby=refused-title]", "line 2");
    browser.wait_text("[aria-labelledby=refused-title]", "duplicate_custom_id");
    browser.wait_text("h1", "rows <b>.jsonl");
    assert_eq!(browser.eval("document.querySelector('#injected, h1 b')"), json!(null));
    browser.is_clean();
}

#[test]
fn a_batch_is_cancelled_with_keys_and_keeps_what_is_done() {
    let Some((_sandbox, server, mut browser)) = start_with_model(&[]) else { return };
    let mut rows = vec![row("short", 1, "")];
    rows.extend((0..400).map(|n| row(&format!("r{n}"), 450, "")));
    browser.open(&format!("{}/batches", server.url));
    let page = batch(&mut browser, &rows.join("\n"));
    browser.open(&format!("{}{page}", server.url));
    browser.wait_text(".run-head .state", "in progress");
    browser.wait("a row is done", "document.querySelector('.run-head progress')?.value > 0");
    browser.picture("batch-open");
    browser.tab_to("[data-dialog=cancel-batch]");
    browser.press("Enter");
    browser.tab_to("#cancel-batch button.danger");
    browser.press("Enter");
    browser.wait_text(".notices", "is being cancelled");
    browser.wait_text(".run-head .state", "cancelled");
    browser.wait_text("[aria-labelledby=failures-title]", "batch_cancelled");
    browser.wait_text("[aria-labelledby=good-title]", "short");
    assert_eq!(browser.eval("document.querySelector('[data-dialog=cancel-batch]')"), json!(null));
    browser.is_clean();
}

#[test]
fn who_may_only_look_sees_no_way_to_start_or_ask() {
    let Some((sandbox, server, mut browser)) = start_with_model(&[]) else { return };
    let page = batch(&mut browser, &row("one", 2, ""));
    log_in_with(&sandbox, &server, &mut browser, "read");
    browser.open(&format!("{}{page}", server.url));
    browser.wait_text(".run-head .state", "completed");
    browser.open(&format!("{}/batches", server.url));
    browser.wait_text("tbody", "completed");
    assert_eq!(browser.eval("document.querySelector('[data-dialog=add-batch], dialog')"), json!(null));
    browser.open(&format!("{}/playground", server.url));
    browser.wait_text("main", "may only look");
    browser.is_clean();
    let status =
        browser.eval("(async () => (await fetch('/batches', { method: 'POST', body: new FormData() })).status)()");
    assert_eq!(status, json!(403));
}

/// Logs in again with a new code of this scope.
fn log_in_with(sandbox: &Sandbox, server: &Server, browser: &mut Browser, scope: &str) {
    let made = sandbox.stepwell(&["token", "code", "--scope", scope]).ok();
    let code = made.stdout.lines().last().unwrap().trim().to_owned();
    browser.open(&format!("{}/login", server.url));
    browser.fill("#secret", &code);
    browser.press("Enter");
    browser.wait("the list of runs is shown", "location.pathname === '/runs' && document.readyState === 'complete'");
}
