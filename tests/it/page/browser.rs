//! A browser and its tabs: pages, clicks, keys, and what went wrong in them.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chromium::Chromium;
use super::protocol::Protocol;

/// Longest wait for a page to become as expected.
const WAIT: Duration = Duration::from_secs(30);

pub struct Browser {
    protocol: Protocol,
    /// Sessions of the tabs; the commands go to one of them.
    tabs: Vec<String>,
    session: String,
    /// Errors on the console, exceptions, and violations of the policy.
    problems: Vec<String>,
    _chromium: Chromium,
}

impl Browser {
    /// Starts a browser with one tab; `None` without Chromium.
    pub fn start(folder: &Path) -> Option<Browser> {
        let chromium = Chromium::start(folder)?;
        let protocol = Protocol::connect(chromium.port, &chromium.path);
        let (tabs, session) = (Vec::new(), String::new());
        let mut browser = Browser { protocol, tabs, session, problems: Vec::new(), _chromium: chromium };
        browser.new_tab();
        Some(browser)
    }

    /// Opens a tab, to which further commands go; returns its number.
    pub fn new_tab(&mut self) -> usize {
        let target = self.protocol.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.protocol.call(None, "Target.attachToTarget", attach);
        self.session = attached["sessionId"].as_str().unwrap().to_owned();
        self.tabs.push(self.session.clone());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.size(1280, 900);
        self.tabs.len() - 1
    }

    /// Sends further commands to this tab.
    pub fn use_tab(&mut self, tab: usize) {
        self.session = self.tabs[tab].clone();
    }

    /// Brings the tab in front of the others, where a person sees it.
    pub fn look(&mut self) {
        self.call("Page.bringToFront", json!({}));
    }

    /// Runs a script in this tab before those of every page.
    pub fn before_pages(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    #[track_caller]
    fn try_call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let result = self.protocol.try_call(Some(&self.session), method, params);
        let events = self.protocol.take_events();
        self.problems.extend(events.iter().filter_map(problem));
        result
    }

    pub fn size(&mut self, width: u32, height: u32) {
        let phone = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// `light` or `dark`.
    pub fn scheme(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.eval("window.left = true");
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("the page is loaded", "!window.left && document.readyState === 'complete'");
    }

    /// The value of an expression, which may be a promise.
    #[track_caller]
    pub fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        let script = format!("document.querySelector({})?.innerText ?? ''", json!(selector));
        self.eval(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true. One that fails, as during a change of pages, is not yet true.
    #[track_caller]
    pub fn wait(&mut self, what: &str, script: &str) {
        let deadline = Instant::now() + WAIT;
        loop {
            let params = json!({ "expression": format!("Boolean({script})"), "returnByValue": true });
            let answer = self.try_call("Runtime.evaluate", params);
            if answer.is_ok_and(|answer| answer["result"]["value"] == json!(true)) {
                return;
            }
            assert!(Instant::now() < deadline, "not so: {what} ({script})\n{}\n{:?}", self.page(), self.problems);
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the text of an element contains these words.
    #[track_caller]
    pub fn wait_text(&mut self, selector: &str, words: &str) {
        let script = format!("document.querySelector({})?.innerText.includes({})", json!(selector), json!(words));
        self.wait(&format!("`{selector}` says `{words}`"), &script);
    }

    fn page(&mut self) -> String {
        let text = self.eval("location.href + '\\n' + document.body.innerText");
        text.as_str().unwrap_or_default().chars().take(3000).collect()
    }

    /// Clicks in the middle of an element, as a person does: something in front of it would be hit instead.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        self.wait(&format!("`{selector}` is there"), &format!("document.querySelector({})", json!(selector)));
        let script = format!(
            "(() => {{ const element = document.querySelector({}); element.scrollIntoView({{ block: 'center' }});
                const box = element.getBoundingClientRect(); const x = box.x + box.width / 2, y = box.y + box.height / 2;
                const hit = document.elementFromPoint(x, y);
                return [x, y, element === hit || element.contains(hit) || hit?.contains(element)]; }})()",
            json!(selector)
        );
        let place = self.eval(&script);
        assert_eq!(place[2], json!(true), "`{selector}` is covered");
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into the element that has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Replaces the content of a field.
    #[track_caller]
    pub fn fill(&mut self, selector: &str, text: &str) {
        self.wait(&format!("`{selector}` is there"), &format!("document.querySelector({})", json!(selector)));
        self.eval(&format!(
            "(() => {{ const field = document.querySelector({}); field.focus(); field.select(); }})()",
            json!(selector)
        ));
        self.type_text(text);
    }

    /// Chooses a file, as the dialog of the browser does.
    #[track_caller]
    pub fn choose_file(&mut self, selector: &str, path: &Path) {
        let script = format!("document.querySelector({})", json!(selector));
        let found = self.call("Runtime.evaluate", json!({ "expression": script }));
        let object = &found["result"]["objectId"];
        self.call("DOM.setFileInputFiles", json!({ "files": [path], "objectId": object }));
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, `Space`, `ArrowDown`.
    pub fn press(&mut self, key: &str) {
        let (name, code, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            "Space" => (" ", 32, " "),
            "ArrowDown" => ("ArrowDown", 40, ""),
            other => panic!("no key {other}"),
        };
        let mut down = json!({ "type": "keyDown", "key": name, "code": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            down["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": name, "code": key, "windowsVirtualKeyCode": code }),
        );
    }

    /// Presses Tab until an element has the focus, which every control has to reach. The focus must be visible.
    #[track_caller]
    pub fn tab_to(&mut self, selector: &str) {
        let script = format!("document.activeElement?.matches({})", json!(selector));
        for _ in 0..150 {
            if self.eval(&script) == json!(true) {
                // A node of the graph has a thicker frame instead.
                let seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none' ||
                            document.activeElement.closest('svg') !== null";
                assert_eq!(self.eval(seen), json!(true), "the focus on `{selector}` cannot be seen");
                return;
            }
            self.press("Tab");
        }
        panic!("Tab does not reach `{selector}`");
    }

    /// Fails if something went wrong in the page so far.
    #[track_caller]
    pub fn is_clean(&mut self) {
        self.eval("1");
        assert!(self.problems.is_empty(), "{:#?}", self.problems);
    }

    /// Forgets what went wrong so far, such as requests to a server that was killed.
    pub fn forgive(&mut self) {
        self.eval("1");
        self.problems.clear();
    }

    /// Writes a picture of the whole page to `$STEPWELL_SCREENSHOTS`, if that is set.
    pub fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("STEPWELL_SCREENSHOTS") else { return };
        let params = json!({ "format": "png", "captureBeyondViewport": false });
        let picture = self.call("Page.captureScreenshot", params);
        let bytes = from_base64(picture["data"].as_str().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

/// The text of an event that tells of a fault.
fn problem(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(format!("exception: {}", params["exceptionDetails"])),
        "Runtime.consoleAPICalled" if matches!(params["type"].as_str(), Some("error" | "assert")) => {
            Some(format!("console: {}", params["args"]))
        }
        "Log.entryAdded" if params["entry"]["level"] == json!("error") => {
            let entry = &params["entry"];
            Some(format!("{}: {} {}", entry["source"], entry["text"], entry["url"]))
        }
        _ => None,
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(value).collect();
    let group = |digits: &[u8]| {
        let word = digits.iter().fold(0u32, |word, digit| word << 6 | u32::from(*digit)) << (6 * (4 - digits.len()));
        word.to_be_bytes()[1..digits.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
