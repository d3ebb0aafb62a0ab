//! The view of a step: why it ran, what its attempts used, its checkpoints.

use super::server::{CURVE, start};

/// Two steps, of which the second is run again when its word changes.
const WORDS: &str = r#"
name = "words"

[params]
word = "one"

[[step]]
id = "same"
kind = "command"
with = { argv = ["echo", "same"], cache = true }

[[step]]
id = "says"
kind = "command"
needs = ["same"]
with.argv = ["echo", "{{ params.word }}"]
"#;

#[test]
fn a_step_says_why_it_was_reused_or_ran() {
    let Some((sandbox, server, mut browser)) = start(&[("w.toml", WORDS)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml", "--name", "first"]).ok();
    browser.open(&format!("{}/runs/first", server.url));
    browser.wait_text(".run-head .state", "succeeded");
    sandbox.stepwell(&["run", "--detach", "w.toml", "--name", "second", "-S", "word=two"]).ok();
    browser.open(&format!("{}/runs/second", server.url));
    browser.wait_text(".run-head .state", "succeeded");
    browser.click("#steps tbody a.name");
    browser.wait_text(".reasons", "has succeeded in run first");
    browser.open(&format!("{}/runs/second/steps/says", server.url));
    browser.wait_text(".reasons", "`params.word` changed \"one\" -> \"two\"");
    browser.wait_text("#main", "argv");
    browser.picture("step-reasons");
    browser.is_clean();
}

#[test]
fn the_use_of_the_machine_and_the_checkpoints_of_an_attempt_are_shown() {
    let Some((sandbox, server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml", "-S", "steps=3000"]).ok();
    browser.open(&format!("{}/runs/last/steps/train", server.url));
    // The first measurement comes after ten seconds.
    browser.wait_text(".spark", "Processor cores");
    browser.wait("a chart of the memory", "[...document.querySelectorAll('.spark svg')].some((svg) => /^Memory: [\\d.]+ .iB at last/.test(svg.getAttribute('aria-label')))");
    browser.wait(
        "the newest checkpoint",
        "document.querySelector('#checkpoints-title')?.closest('section').innerText.includes('newest')",
    );
    browser.wait(
        "the attempt runs",
        "document.querySelector('#attempts-title')?.closest('section').innerText.includes('running')",
    );
    browser.picture("step-use");
    browser.is_clean();
}
