//! The same rows through the server, as clients of OpenAI's API send them.

use serde_json::{Value, json};

use super::model::tiny_model;
use crate::harness::{Sandbox, eventually};
use crate::serve::Server;

const BOUNDARY: &str = "------------------------0123456789abcdef";
const ROWS: &str = r#"{"custom_id":"good","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"max_tokens":4,"temperature":0}}
{"custom_id":"bad","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"n":1000000000}}
"#;

/// Uploads a file of rows; returns its id.
pub fn upload(server: &Server, token: &str, rows: &str) -> Value {
    let part =
        |head: &str, body: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let purpose = part("name=\"purpose\"", "batch");
    let body = format!("{purpose}{}--{BOUNDARY}--\r\n", part("name=\"file\"; filename=\"rows.jsonl\"", rows));
    let request = format!(
        "POST /v1/files HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    // An engine that starts removes what is not published yet: clients send it again, as this one does.
    let mut answer = server.send(&request);
    for _ in 0..3 {
        if answer.status != 500 {
            break;
        }
        answer = server.send(&request);
    }
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
