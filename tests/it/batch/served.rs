//! The same rows through the server, as clients of OpenAI's API send them.

use std::io::Write;

use serde_json::{Value, json};

use super::model::tiny_model;
use crate::harness::{Sandbox, eventually};
use crate::serve::{Answer, Server};

const BOUNDARY: &str = "------------------------0123456789abcdef";
const ROWS: &str = r#"{"custom_id":"good","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"max_tokens":4,"temperature":0}}
{"custom_id":"bad","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"n":1000000000}}
"#;

/// A request that uploads a file of rows.
fn upload_request(server: &Server, token: &str, rows: &str) -> String {
    let part =
        |head: &str, body: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let purpose = part("name=\"purpose\"", "batch");
    let body = format!("{purpose}{}--{BOUNDARY}--\r\n", part("name=\"file\"; filename=\"rows.jsonl\"", rows));
    format!(
        "POST /v1/files HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    )
}

/// Uploads a file of rows; returns its id.
pub fn upload(server: &Server, token: &str, rows: &str) -> Value {
    let answer = server.send(&upload_request(server, token, rows));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["id"].clone()
}

/// Creates a batch over an uploaded file.
pub fn create(server: &Server, token: &str, file: &Value) -> Value {
    let batch = json!({ "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h" });
    server.call("POST", "/v1/batches", token, Some(&batch)).json()
}

#[test]
fn a_batch_survives_the_death_of_the_server() {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let options = ["--listen", "127.0.0.1:0", "--model", "tiny=model"];
    let server = Server::start_with(&sandbox, &options);
    let token = server.token.clone().expect("the first token");
    let file = upload(&server, &token, ROWS);
    let made = create(&server, &token, &file);
    server.kill();
    let server = Server::start_with(&sandbox, &options);
    assert_eq!(create(&server, &token, &file)["id"], made["id"]);
    let path = format!("/v1/batches/{}", made["id"].as_str().unwrap());
    let mut ended = json!(null);
    eventually("the batch ends", || {
        ended = server.get(&path, &token);
        ended["completed_at"].is_number() || ended["failed_at"].is_number()
    });
    assert_eq!(ended["request_counts"], json!({ "total": 2, "completed": 1, "failed": 1 }), "{ended}");
    let content = |name: &str| {
        let path = format!("/v1/files/{}/content", ended[name].as_str().unwrap());
        server.call("GET", &path, &token, None).body
    };
    assert!(content("output_file_id").contains("\"custom_id\":\"good\""));
    assert!(content("error_file_id").contains("\"param\":\"n\""));
    server.kill();
}

/// Two servers of one state directory get the same request at the same time. One is the engine; the other takes over when that one
/// dies.
#[test]
fn replicas_execute_once() {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let options = ["--listen", "127.0.0.1:0", "--model", "tiny=model"];
    let first = Server::start_with(&sandbox, &options);
    let token = first.token.clone().expect("the first token");
    let second = Server::start_with(&sandbox, &options);
    let row = |n: usize| {
        let body = json!({ "model": "tiny", "messages": [{ "role": "user", "content": format!("Number {n}") }],
            "max_tokens": 100, "ignore_eos": true });
        json!({ "custom_id": format!("row-{n}"), "method": "POST", "url": "/v1/chat/completions", "body": body })
            .to_string()
    };
    let rows: Vec<String> = (0..60).map(row).collect();
    let file = upload(&second, &token, &rows.join("\n"));
    let (one, other) = std::thread::scope(|scope| {
        let made = [&first, &second].map(|server| scope.spawn(|| create(server, &token, &file)));
        let [one, other] = made.map(|thread| thread.join().unwrap());
        (one, other)
    });
    assert_eq!(one["id"], other["id"]);
    let path = format!("/v1/batches/{}", one["id"].as_str().unwrap());
    eventually("a row is answered", || second.get(&path, &token)["request_counts"]["completed"].as_u64() > Some(0));
    first.kill();
    let mut ended = json!(null);
    eventually("the batch ends", || {
        ended = second.get(&path, &token);
        ended["completed_at"].is_number()
    });
    assert_eq!(ended["request_counts"], json!({ "total": 60, "completed": 60, "failed": 0 }), "{ended}");
    assert_eq!(sandbox.query_count("run"), 1);
    let output = format!("/v1/files/{}/content", ended["output_file_id"].as_str().unwrap());
    let output = second.call("GET", &output, &token, None).body;
    let ids: Vec<String> = output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["custom_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..60).map(|n| format!("row-{n}")).collect::<Vec<_>>());
    second.kill();
}

/// An engine that starts removes what dead writers left, not what a server has received half of.
#[test]
fn an_upload_survives_the_start_of_an_engine() {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let step = "[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"until [ -e $STEPWELL_PROJECT_DIR/go ]; do sleep 0.05; done\"\n";
    sandbox.write("waits.toml", format!("name = \"waits\"\n{step}"));
    let mut other = sandbox.start(&["run", "waits.toml"]);
    eventually("another process is the engine", || sandbox.query_count("attempt") == 1);
    let server = Server::start_with(&sandbox, &["--listen", "127.0.0.1:0", "--model", "tiny=model"]);
    let token = server.token.clone().expect("the first token");
    let state = || server.get("/api/v1/health", &token)["engine"]["state"].clone();
    assert_ne!(state(), "here");
    let rows = ROWS.repeat(8192);
    let request = upload_request(&server, &token, &rows);
    let (first, rest) = request.split_at(request.len() / 2);
    let mut connection = server.open(first);
    let unpublished = || std::fs::read_dir(sandbox.state().join("artifacts/tmp")).map_or(0, Iterator::count);
    eventually("a part of the file is on the disk", || unpublished() == 1);
    sandbox.write("go", "");
    assert!(other.wait().unwrap().success());
    eventually("the server is the engine", || state() == "here");
    // A run shows that the engine has started.
    sandbox.stepwell(&["run", "waits.toml", "--no-reuse"]).ok();
    connection.write_all(rest.as_bytes()).unwrap();
    let answer = Answer::read(connection);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let path = format!("/v1/files/{}/content", answer.json()["id"].as_str().unwrap());
    assert!(server.call("GET", &path, &token, None).body == rows);
    server.kill();
}

#[test]
fn a_client_that_waits_gets_the_text_of_the_batch() {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let server = Server::start_with(&sandbox, &["--listen", "127.0.0.1:0", "--model", "tiny=model"]);
    let token = server.token.clone().expect("the first token");
    let row: Value = serde_json::from_str(ROWS.lines().next().unwrap()).unwrap();
    let answer = server.call("POST", "/v1/chat/completions", &token, Some(&row["body"]));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let said = &answer.json()["choices"][0]["message"]["content"];
    sandbox.write("requests.jsonl", ROWS);
    sandbox.stepwell(&["batch", "requests.jsonl", "--model", "model", "-o", "out.jsonl"]);
    let line: Value = serde_json::from_str(&std::fs::read_to_string(sandbox.path("out.jsonl")).unwrap()).unwrap();
    assert_eq!(&line["response"]["body"]["choices"][0]["message"]["content"], said);
    server.kill();
}
