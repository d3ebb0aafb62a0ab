//! `stepwell serve` over real connections: who gets in, what it does, and what it survives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Sandbox, eventually, signal};

const QUICK: &str = "name = \"quick\"\n[params]\nlines = 2\n[[step]]\nid = \"count\"\nkind = \"command\"\nwith = { shell = \"seq {{ params.lines }}\" }\n";
const WAITS: &str = "name = \"waits\"\n[[step]]\nid = \"ask\"\nkind = \"approval\"\nwith.prompt = \"Go on?\"\n[[step]]\nid = \"after\"\nkind = \"command\"\nneeds = [\"ask\"]\nwith.shell = \"echo done\"\n";

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    code: String,
    pub token: Option<String>,
    /// Kept open: a closed pipe is none of the server's business here.
    _streams: (BufReader<ChildStdout>, ChildStderr),
}

impl Server {
    fn start(sandbox: &Sandbox, listen: &str) -> Server {
        Server::start_with(sandbox, &["--listen", listen])
    }

    pub fn start_with(sandbox: &Sandbox, options: &[&str]) -> Server {
        let mut command = sandbox.command(&[&["serve", "--output", "json"], options].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let stderr = child.stderr.take().unwrap();
        let told: Value = serde_json::from_str(&first).unwrap_or_else(|_| panic!("no address: {first}"));
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        Server {
            child,
            address: text("address").unwrap().parse().unwrap(),
            code: text("code").unwrap(),
            token: text("token"),
            _streams: (lines, stderr),
        }
    }

    pub fn send(&self, request: &str) -> Answer {
        Answer::read(self.open(request))
    }

    pub fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        ))
    }

    pub fn get(&self, path: &str, token: &str) -> Value {
        let answer = self.call("GET", path, token, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn read(mut stream: TcpStream) -> Answer {
        let mut bytes = Vec::new();
        // A refused request may be answered by a reset after the answer.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("workflows/quick.toml", QUICK);
    sandbox.write("workflows/waits.toml", WAITS);
    sandbox
}

#[test]
fn a_run_is_submitted_approved_and_read_through_the_api() {
    let sandbox = sandbox();
    let server = Server::start(&sandbox, "127.0.0.1:0");
    let token = server.token.clone().expect("the first token");
    let health = server.get("/api/v1/health", &token);
    assert_eq!(health["engine"]["state"], "here", "{health}");
    let body = json!({ "workflow": "waits", "name": "mine", "tags": ["a"], "idempotency_key": "k" });
    let made = server.call("POST", "/api/v1/runs", &token, Some(&body)).json();
    assert_eq!((&made["new"], &made["run"]["name"]), (&json!(true), &json!("mine")), "{made}");
    let again = server.call("POST", "/api/v1/runs", &token, Some(&body)).json();
    assert_eq!((&again["new"], &again["run"]["id"]), (&json!(false), &made["run"]["id"]));
    eventually("the step waits", || server.get("/api/v1/runs/mine/steps/ask", &token)["step"]["status"] == "waiting");
    let explained = server.get("/api/v1/runs/mine/explain?step=ask", &token);
    assert_eq!(explained["steps"][0]["details"][0]["code"], "approval", "{explained}");
    let approved = server.call("POST", "/api/v1/runs/mine/approve", &token, Some(&json!({ "step": "ask" })));
    assert_eq!(approved.status, 200, "{}", approved.body);
    eventually("the run ends", || server.get("/api/v1/runs/mine", &token)["status"] == "succeeded");
    let log = server.call("GET", "/api/v1/runs/mine/steps/after/attempts/1/log", &token, None);
    assert_eq!((log.status, log.body.as_str()), (200, "done\n"));
    let shown = sandbox.stepwell(&["show", "mine", "--output", "json"]).ok().json();
    assert_eq!(shown["decisions"][0]["approver"], "first", "{shown}");
    // Text works as well, and a broken one lists its problems.
    let body = json!({ "text": QUICK, "params": { "lines": 7 } });
    let made = server.call("POST", "/api/v1/runs", &token, Some(&body)).json();
    let name = made["run"]["name"].as_str().unwrap().to_owned();
    eventually("the run ends", || server.get(&format!("/api/v1/runs/{name}"), &token)["status"] == "succeeded");
    let broken = server.call("POST", "/api/v1/validate", &token, Some(&json!({ "text": "name = 3" })));
    assert_eq!(broken.status, 422, "{}", broken.body);
    assert!(broken.json()["problems"]["count"].as_u64() > Some(0), "{}", broken.body);
    server.kill();
}

#[test]
fn a_session_survives_kill_9_and_the_stream_continues() {
    let sandbox = sandbox();
    let server = Server::start(&sandbox, "127.0.0.1:0");
    let (address, token) = (server.address, server.token.clone().unwrap());
    let form = format!("secret={}", server.code);
    let login = server.send(&format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    assert_eq!(login.status, 303, "{} {}", login.head, login.body);
    let cookie = login.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    server.call("POST", "/api/v1/runs", &token, Some(&json!({ "workflow": "quick", "name": "one" })));
    eventually("the run ends", || server.get("/api/v1/runs/one", &token)["status"] == "succeeded");
    let before = ids(&server, &cookie, 0, 4);
    server.kill();
    let server = Server::start(&sandbox, &address.to_string());
    assert_eq!(server.token, None, "a token is shown once");
    let page = server.send(&format!(
        "GET /api/v1/runs HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    ));
    assert_eq!(page.status, 200, "{}", page.body);
    server.call("POST", "/api/v1/runs", &token, Some(&json!({ "workflow": "quick", "name": "two" })));
    let after = ids(&server, &cookie, *before.last().unwrap(), 4);
    assert_eq!(after.first(), before.last().map(|last| last + 1).as_ref());
    server.kill();
}

/// Ids of the next events after `last`, read as a browser does.
fn ids(server: &Server, cookie: &str, last: i64, most: usize) -> Vec<i64> {
    let address = server.address;
    let stream = server.open(&format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\nLast-Event-ID: {last}\r\n\r\n"
    ));
    let mut found = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        found.extend(line.strip_prefix("id: ").map(|id| id.parse::<i64>().unwrap()));
        if found.len() == most {
            return found;
        }
    }
    panic!("the stream ended after {found:?}");
}

#[test]
fn next_to_another_engine_it_serves_and_then_takes_over() {
    let sandbox = sandbox();
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker runs", || {
        sandbox.state().join("stepwell.db").exists() && sandbox.state().join("wake").exists()
    });
    let server = Server::start(&sandbox, "127.0.0.1:0");
    let token = server.token.clone().unwrap();
    let health = server.get("/api/v1/health", &token);
    assert_eq!(health["engine"]["state"], "elsewhere", "{health}");
    server.call("POST", "/api/v1/runs", &token, Some(&json!({ "workflow": "quick", "name": "there" })));
    eventually("the worker runs it", || server.get("/api/v1/runs/there", &token)["status"] == "succeeded");
    worker.kill().unwrap();
    worker.wait().unwrap();
    eventually("the server takes over", || server.get("/api/v1/health", &token)["engine"]["state"] == "here");
    server.call("POST", "/api/v1/runs", &token, Some(&json!({ "workflow": "quick", "name": "here" })));
    eventually("the server runs it", || server.get("/api/v1/runs/here", &token)["status"] == "succeeded");
    signal(server.child.id(), "TERM");
    let mut server = server;
    assert_eq!(server.child.wait().unwrap().code(), Some(130));
}

#[test]
fn slow_clients_and_large_heads_leave_others_alone() {
    let sandbox = sandbox();
    let server = Server::start(&sandbox, "127.0.0.1:0");
    let token = server.token.clone().unwrap();
    let slow: Vec<TcpStream> =
        (0..200).map(|_| server.open("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")).collect();
    let started = Instant::now();
    server.get("/api/v1/runs", &token);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let large =
        format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nX-Large: {}\r\n\r\n", server.address, "x".repeat(100_000));
    let answer = server.send(&large);
    assert!([0, 431].contains(&answer.status), "{}", answer.status);
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    let answer = server.send(&format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n{many}\r\n", server.address));
    assert!([0, 431].contains(&answer.status), "{}", answer.status);
    // A slow client is cut off.
    let mut first = slow.into_iter().next().unwrap();
    let mut rest = Vec::new();
    let _ = first.read_to_end(&mut rest);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    server.get("/api/v1/runs", &token);
    server.kill();
}

#[test]
fn tokens_are_made_listed_and_revoked_on_the_command_line() {
    let sandbox = sandbox();
    let made = sandbox.stepwell(&["token", "create", "ci", "--scope", "read", "--output", "json"]).ok().json();
    let secret = made["token"]["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("swt_") && secret.len() == 68, "{secret}");
    let list = sandbox.stepwell(&["token", "list"]).ok();
    assert!(list.stdout.contains("ci") && !list.stdout.contains("swt_"), "{}", list.stdout);
    sandbox.stepwell(&["token", "create", "ci"]).exits(2);
    // Nothing on the disk has the secret.
    for file in ["stepwell.db", "stepwell.db-wal"] {
        let bytes = std::fs::read(sandbox.state().join(file)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
    }
    let server = Server::start(&sandbox, "127.0.0.1:0");
    assert_eq!(server.token, None);
    server.get("/api/v1/runs", &secret);
    assert_eq!(server.call("POST", "/api/v1/runs", &secret, Some(&json!({ "workflow": "quick" }))).status, 403);
    sandbox.stepwell(&["token", "revoke", "ci"]).ok();
    eventually("it no longer works", || server.call("GET", "/api/v1/runs", &secret, None).status == 401);
    sandbox.stepwell(&["token", "revoke", "ci"]).exits(6);
    sandbox.stepwell(&["db", "check"]).ok();
    server.kill();
}

#[test]
fn an_address_that_others_reach_needs_tls_or_a_flag() {
    let sandbox = sandbox();
    sandbox.stepwell(&["serve", "--listen", "0.0.0.0:0"]).exits(2).says(&["--tls-cert", "--insecure-listen"]);
    sandbox
        .stepwell(&["serve", "--allow-host", "http://x", "--listen", "127.0.0.1:0"])
        .exits(2)
        .says(&["is not a host"]);
    let server = Server::start(&sandbox, "127.0.0.1:0");
    let taken = server.address.to_string();
    sandbox.stepwell(&["serve", "--listen", &taken]).exits(2).says(&["cannot listen", "takes a free port"]);
    server.kill();
}

#[test]
fn a_wrong_certificate_is_named_and_the_first_token_is_still_shown() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.pem", "no certificate\n");
    for (certificate, said) in [
        ("missing.pem", "cannot read `missing.pem`: No such file"),
        ("empty.pem", "cannot read `empty.pem`: there is no certificate in PEM form in it"),
    ] {
        let listen = ["serve", "--listen", "0.0.0.0:0", "--tls-cert", certificate, "--tls-key", "empty.pem"];
        sandbox.stepwell(&listen).exits(2).says(&[said, "--tls-key"]);
    }
    let server = Server::start(&sandbox, "127.0.0.1:0");
    assert!(server.token.is_some(), "nobody has seen a token before");
    server.kill();
}
