//! Many tabs, with one stream for all of them or with one each, over the death of the server.

use serde_json::Value;

use super::browser::Browser;
use super::server::{CURVE, start};

const TABS: usize = 8;
/// No shared worker, as in browsers of phones, and a switch that hides a tab.
const ALONE: &str = "delete globalThis.SharedWorker;
    Object.defineProperty(document, 'hidden', { get: () => globalThis.isAway === true });
    globalThis.away = (away) => { globalThis.isAway = away; document.dispatchEvent(new Event('visibilitychange')); };";

/// Streams of events that the server has open.
fn streams(browser: &mut Browser) -> u64 {
    let script = "fetch('/metrics').then((answer) => answer.text()).then((text) =>
        Number(/^stepwell_http_event_streams (\\d+)/m.exec(text)[1]))";
    browser.eval(script).as_u64().unwrap()
}

#[track_caller]
fn wait_for_streams(browser: &mut Browser, wanted: u64) {
    for _ in 0..600 {
        if streams(browser) == wanted {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} streams are open, not {wanted}", streams(browser));
}

/// Numbers of the events that came to `window.seen`.
fn seen(browser: &mut Browser) -> Vec<i64> {
    let seen = browser.eval("window.seen");
    seen.as_array().unwrap().iter().map(|number| Value::as_i64(number).unwrap()).collect()
}

#[test]
fn eight_tabs_share_a_stream_that_survives_the_server() {
    let Some((sandbox, mut server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    let mut tabs = vec![0];
    browser.open(&format!("{}/runs", server.url));
    for _ in 1..TABS {
        tabs.push(browser.new_tab());
        browser.open(&format!("{}/runs", server.url));
    }
    for tab in &tabs {
        browser.use_tab(*tab);
        browser.wait_text("[data-link-state]", "live");
    }
    wait_for_streams(&mut browser, 1);
    // A stream of the test's own tells which events come.
    browser.eval(
        "window.seen = []; window.own = new EventSource('/api/v1/events?after=0');
         own.onmessage = (event) => seen.push(Number(event.lastEventId));",
    );
    let short = |name: &str| {
        sandbox.stepwell(&["run", "--detach", "w.toml", "--name", name, "-S", "steps=5", "-S", "pause=0.01"]).ok();
    };
    short("eight");
    for tab in &tabs {
        browser.use_tab(*tab);
        browser.look();
        browser.wait_text("tbody", "eight");
    }
    for round in 0..2 {
        server.kill();
        browser.wait_text("[data-link-state]", "connecting");
        // Something happens while nobody serves.
        short(&format!("meanwhile{round}"));
        server.restart(&sandbox);
        for tab in &tabs {
            browser.use_tab(*tab);
            browser.look();
            browser.wait_text("[data-link-state]", "live");
            browser.wait_text("tbody", &format!("meanwhile{round}"));
        }
    }
    crate::harness::eventually("all runs have ended", || {
        sandbox.query("SELECT count(*) || '' FROM run WHERE status <> 'succeeded'") == ["0"]
    });
    let stored: Vec<i64> =
        sandbox.query("SELECT seq || '' FROM event ORDER BY seq").iter().map(|seq| seq.parse().unwrap()).collect();
    browser.use_tab(TABS - 1);
    browser.wait("every event has come", &format!("window.seen.length >= {}", stored.len()));
    assert_eq!(seen(&mut browser), stored, "none lost, none twice, in order");
    wait_for_streams(&mut browser, 2);
    browser.forgive();
    browser.is_clean();
}

#[test]
fn without_a_shared_worker_only_tabs_that_are_seen_have_a_stream() {
    let Some((sandbox, mut server, mut browser)) = start(&[("w.toml", CURVE)]) else { return };
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        if let Some(last) = tabs.last() {
            browser.use_tab(*last);
            browser.eval("away(true)");
        }
        tabs.push(browser.new_tab());
        browser.before_pages(ALONE);
        browser.open(&format!("{}/runs", server.url));
        browser.wait_text("[data-link-state]", "live");
        assert_eq!(browser.eval("'SharedWorker' in globalThis"), false);
    }
    // The first tab, of the login, shares a worker of its own.
    wait_for_streams(&mut browser, 2);
    let short = |name: &str| {
        sandbox.stepwell(&["run", "--detach", "w.toml", "--name", name, "-S", "steps=5", "-S", "pause=0.01"]).ok();
    };
    short("seen");
    browser.wait_text("tbody", "seen");
    // One that comes back shows what it has missed.
    browser.use_tab(tabs[0]);
    assert!(!browser.text("tbody").contains("seen"), "a hidden tab asks for nothing");
    browser.eval("away(false)");
    browser.wait_text("tbody", "seen");
    server.kill();
    browser.wait_text("[data-link-state]", "connecting");
    short("meanwhile");
    server.restart(&sandbox);
    browser.wait_text("[data-link-state]", "live");
    browser.wait_text("tbody", "meanwhile");
    browser.forgive();
    browser.is_clean();
}
