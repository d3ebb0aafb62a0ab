//! Approving, forking, comparing, and a run that failed.

use super::server::{CURVE, start};

pub const GATE: &str = r#"
name = "gate"

[[step]]
id = "ask"
kind = "approval"
with.prompt = "Ship <i>it</i>?"
with.inputs = { loss = 2.5 }

[[step]]
id = "ship"
kind = "command"
needs = ["ask"]
with.argv = ["echo", "shipped"]
"#;

pub const FAILS: &str = r#"
name = "fails"

[[step]]
id = "fine"
kind = "command"
with.argv = ["true"]

[[step]]
id = "broken"
kind = "command"
needs = ["fine"]
with.shell = "echo 'no such <em>thing</em>'; exit 3"
retry = { maximum_attempts = 1 }
"#;

#[test]
fn a_person_decides_with_a_reason() {
    let Some((sandbox, server, mut browser)) = start(&[("gate.toml", GATE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "gate.toml"]).ok();
    browser.open(&format!("{}/runs/last", server.url));
    browser.wait_text(".wait", "Ship <i>it</i>?");
    browser.wait_text(".wait", "2.5");
    browser.fill("#comment-1", "looks good");
    browser.picture("approve");
    browser.click(".wait button.primary");
    browser.wait_text(".run-head .state", "succeeded");
    assert_eq!(sandbox.query("SELECT verdict || ' ' || comment FROM decision"), ["approved looks good"]);
    browser.is_clean();
}

#[test]
fn a_failed_run_says_first_what_failed_and_what_helps() {
    let Some((sandbox, server, mut browser)) = start(&[("fails.toml", FAILS)]) else { return };
    sandbox.stepwell(&["run", "--detach", "fails.toml"]).ok();
    browser.open(&format!("{}/runs/last", server.url));
    browser.wait_text(".failure", "broken");
    browser.wait_text(".failure .message", "no such <em>thing</em>");
    browser.wait_text(".failure .command", "stepwell logs");
    let first = browser.text("#main section.panel");
    assert!(first.starts_with("broken failed"), "{first}");
    assert_eq!(browser.text("#steps tbody .name"), "broken", "failed steps come first");
    browser.picture("failed");
    browser.is_clean();
}

#[test]
fn a_fork_is_compared_with_its_run() {
    let Some((sandbox, server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml", "-S", "steps=60", "-S", "pause=0.01", "--name", "base"]).ok();
    browser.open(&format!("{}/runs/base", server.url));
    browser.wait_text(".run-head .state", "succeeded");
    browser.click("[data-dialog=fork-dialog]");
    browser.wait_text("#fork-at", "train at training step 40");
    browser.eval("document.querySelector('#fork-at').value = 'train:40'");
    browser.fill("#fork-set", "word=other\nsteps=90");
    browser.fill("#fork-name", "branch");
    browser.click("#fork-dialog button.primary");
    browser.wait("the page of the fork", "document.querySelector('h1')?.innerText === 'branch'");
    browser.wait_text(".run-head", "fork of base");
    browser.wait_text(".run-head .state", "succeeded");
    browser.open(&format!("{}/runs", server.url));
    for row in ["tbody tr:nth-child(1) input", "tbody tr:nth-child(2) input"] {
        browser.click(row);
    }
    browser.click("button[form=compare]");
    browser.wait("the comparison", "location.pathname === '/compare'");
    browser.wait_text("#main", "word");
    browser.wait_text("#main", "other");
    browser.wait("two curves", "document.querySelectorAll('.chart .legend li').length === 2");
    browser.wait_text(".chart .summary", "at step 90");
    browser.picture("compare");
    browser.is_clean();
}
