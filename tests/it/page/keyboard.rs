//! Everything that a person does, with the keyboard alone.

use super::server::{CURVE, start};
use super::steer::{FAILS, GATE};

#[test]
fn approving_needs_no_mouse() {
    let Some((sandbox, server, mut browser)) = start(&[("gate.toml", GATE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "gate.toml"]).ok();
    browser.open(&format!("{}/runs/last", server.url));
    browser.wait_text(".wait", "Ship");
    browser.tab_to("#comment-1");
    browser.type_text("typed");
    browser.tab_to(".wait button.primary");
    browser.press("Enter");
    browser.wait_text(".run-head .state", "succeeded");
    assert_eq!(sandbox.query("SELECT verdict || ' ' || comment FROM decision"), ["approved typed"]);
    // A node of the graph leads to its step, and a step to its log.
    browser.tab_to(".graph a[aria-label^=ship]");
    browser.press("Enter");
    browser.wait("the view of the step", "document.querySelector('#step-title')?.innerText === 'ship'");
    browser.tab_to("a.button[href*=logs]");
    browser.press("Enter");
    browser.wait_text(".log", "shipped");
    browser.is_clean();
}

#[test]
fn a_failed_step_is_tried_again_with_a_key() {
    let Some((sandbox, server, mut browser)) = start(&[("fails.toml", FAILS)]) else { return };
    sandbox.stepwell(&["run", "--detach", "fails.toml"]).ok();
    browser.open(&format!("{}/runs/last", server.url));
    browser.wait_text(".run-head .state", "failed");
    browser.tab_to(".failure form[action$=retry] button");
    browser.press("Enter");
    browser.wait_text(".notices", "broken is tried again");
    let attempts = || sandbox.query("SELECT attempts || ' ' || status FROM step WHERE id = 'broken'");
    crate::harness::eventually("the second attempt fails", || attempts() == ["2 failed"]);
    // The whole run, this time.
    browser.wait_text(".run-head .state", "failed");
    browser.tab_to("form[action$=resume] button");
    browser.press("Enter");
    crate::harness::eventually("the third attempt fails", || attempts() == ["3 failed"]);
    browser.is_clean();
}

#[test]
fn searching_and_forking_need_no_mouse() {
    let Some((sandbox, server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml", "-S", "steps=60", "-S", "pause=0.01", "--name", "base"]).ok();
    sandbox.stepwell(&["run", "--detach", "w.toml", "-S", "steps=3", "--name", "other"]).ok();
    browser.open(&format!("{}/runs", server.url));
    browser.wait("both runs", "document.querySelectorAll('tbody tr').length === 2");
    browser.tab_to("#q");
    browser.type_text("bas");
    browser.wait("one run is left", "document.querySelectorAll('tbody tr').length === 1");
    browser.tab_to("tbody a.name");
    browser.press("Enter");
    browser.wait_text(".run-head .state", "succeeded");
    browser.tab_to("#step-q");
    browser.type_text("nothing like it");
    browser.wait_text("#steps", "No step is like that");

    browser.open(&format!("{}/runs/base", server.url));
    browser.tab_to("[data-dialog=fork-dialog]");
    browser.press("Enter");
    browser.wait("the question", "document.querySelector('#fork-dialog').open");
    browser.press("Escape");
    browser.wait("it is closed", "!document.querySelector('#fork-dialog').open");
    browser.press("Enter");
    browser.wait("the question", "document.querySelector('#fork-dialog').open");
    browser.tab_to("#fork-at");
    for _ in 0..4 {
        if browser.eval("document.querySelector('#fork-at').value") == "train:40" {
            break;
        }
        browser.press("ArrowDown");
    }
    browser.tab_to("#fork-set");
    browser.type_text("word=other");
    browser.tab_to("#fork-name");
    browser.type_text("branch");
    browser.tab_to("#fork-dialog button.primary");
    browser.press("Enter");
    browser.wait("the page of the fork", "document.querySelector('h1')?.innerText === 'branch'");
    browser.wait_text(".run-head", "fork of base");
    browser.wait_text(".run-head .state", "succeeded");
    browser.tab_to(".tabs a[href$=logs]");
    browser.press("Enter");
    browser.wait("the log", "document.querySelectorAll('.log li').length > 3");
    browser.tab_to("#log-q");
    browser.type_text("step 50 ");
    browser.wait_text("#log-view [role=status]", "1 line");
    browser.wait_text(".log", "step 50 other");
    browser.is_clean();
}

#[test]
fn a_schedule_is_added_paused_and_removed_with_keys() {
    let Some((sandbox, server, mut browser)) = start(&[]) else { return };
    browser.open(&format!("{}/schedules", server.url));
    browser.tab_to("[data-dialog=add-schedule]");
    browser.press("Enter");
    browser.tab_to("#schedule-name");
    browser.type_text("nightly");
    // From `batch`, which needs params, to `commands`.
    browser.tab_to("#schedule-workflow");
    browser.press("ArrowDown");
    browser.tab_to("#schedule-cron");
    browser.type_text("61 3 * * *");
    browser.tab_to("#add-schedule button.primary");
    browser.press("Enter");
    browser.wait_text(".notice.bad", "61");
    browser.forgive();
    browser.tab_to("[data-dialog=add-schedule]");
    browser.press("Enter");
    browser.tab_to("#schedule-cron");
    browser.eval("document.activeElement.select()");
    browser.type_text("0 3 * * *");
    browser.tab_to("#add-schedule button.primary");
    browser.press("Enter");
    browser.wait_text("tbody", "nightly");
    browser.picture("schedules");
    browser.tab_to("form[action$=pause] button");
    browser.press("Enter");
    browser.wait_text("tbody", "paused");
    browser.tab_to("form[action$=resume] button");
    browser.press("Enter");
    browser.wait("it has a next time", "document.querySelector('tbody time')");
    browser.tab_to("[data-dialog^=remove-schedule]");
    browser.press("Enter");
    browser.tab_to("dialog[open] button.danger");
    browser.press("Enter");
    browser.wait_text("#main", "No workflow starts by the clock");
    assert_eq!(sandbox.query("SELECT name FROM schedule"), Vec::<String>::new());
    browser.is_clean();
}
