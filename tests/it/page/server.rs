//! `stepwell serve` in a sandbox, and workflows to watch.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::browser::Browser;
use crate::batch::tiny_model;
use crate::harness::Sandbox;

/// Reports numbers and progress, writes checkpoints, and prints markup and control characters, for as long as a test needs.
pub const CURVE: &str = r#"
name = "curve"
description = "Counts, and reports a loss that falls."

[params]
# How many training steps to take.
steps = 2000
# Seconds between two training steps.
pause = "0.03"
## Words
# What the log says.
word = "hello"

[[step]]
id = "train"
kind = "command"
with.shell = '''
n=0
[ -e "$STEPWELL_CHECKPOINT_DIR/last/n" ] && n=$(cat "$STEPWELL_CHECKPOINT_DIR/last/n")
while [ "$n" -lt {{ params.steps }} ]; do
  n=$((n + 1))
  echo "{\"step\": $n, \"loss\": $((9000 - n * 3))e-3}" >> "$STEPWELL_METRICS"
  echo "$n {{ params.steps }} steps" > "$STEPWELL_PROGRESS"
  printf 'step %s {{ params.word }} <b id=injected>bold</b> \033[31mred\033[0m \033]0;title\007\n' "$n"
  if [ $((n % 20)) -eq 0 ] && [ ! -e "$STEPWELL_CHECKPOINT_DIR/next.ready" ]; then
    mkdir -p "$STEPWELL_CHECKPOINT_DIR/next"
    echo "$n" > "$STEPWELL_CHECKPOINT_DIR/next/n"
    echo "{\"last_step\": $n}" > "$STEPWELL_CHECKPOINT_DIR/ready.part"
    mv "$STEPWELL_CHECKPOINT_DIR/ready.part" "$STEPWELL_CHECKPOINT_DIR/next.ready"
  fi
  sleep {{ params.pause }}
done
'''
"#;

/// Folder of a model in a sandbox, which its server then serves as `tiny`.
const MODEL: &str = "model";

pub struct Server {
    child: Option<Child>,
    pub url: String,
    pub code: String,
    port: String,
}

impl Server {
    /// Serves the state directory of a sandbox on a free port.
    pub fn start(sandbox: &Sandbox) -> Server {
        Server::start_on(sandbox, "0")
    }

    fn start_on(sandbox: &Sandbox, port: &str) -> Server {
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec!["serve", "--listen", &listen, "--output", "json"];
        if sandbox.path(MODEL).exists() {
            arguments.extend(["--model", "tiny=model"]);
        }
        let mut command = sandbox.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = loop {
            let line = lines.next().expect("it says where it serves").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            if value["type"] == "serving" {
                break value;
            }
        };
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let text = |name: &str| said[name].as_str().unwrap().trim_end_matches('/').to_owned();
        let port = text("url").rsplit(':').next().unwrap().to_owned();
        Server { child: Some(child), url: text("url"), code: text("code"), port }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Kills it without a warning, and starts another one at the same address.
    pub fn restart(&mut self, sandbox: &Sandbox) {
        self.kill();
        *self = Server::start_on(sandbox, &self.port.clone());
    }

    #[track_caller]
    pub fn log_in(&self, browser: &mut Browser) {
        browser.open(&format!("{}/login", self.url));
        browser.fill("#secret", &self.code);
        browser.press("Enter");
        browser
            .wait("the list of runs is shown", "location.pathname === '/runs' && document.readyState === 'complete'");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A sandbox with a server and a browser that is logged in; `None` without Chromium.
pub fn start(workflows: &[(&str, &str)]) -> Option<(Sandbox, Server, Browser)> {
    start_in(Sandbox::new(), workflows)
}

/// The same with a tiny model.
pub fn start_with_model(workflows: &[(&str, &str)]) -> Option<(Sandbox, Server, Browser)> {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path(MODEL));
    start_in(sandbox, workflows)
}

fn start_in(sandbox: Sandbox, workflows: &[(&str, &str)]) -> Option<(Sandbox, Server, Browser)> {
    for (name, text) in workflows {
        sandbox.write(name, text);
    }
    let mut browser = Browser::start(sandbox.dir.path())?;
    let server = Server::start(&sandbox);
    server.log_in(&mut browser);
    Some((sandbox, server, browser))
}
