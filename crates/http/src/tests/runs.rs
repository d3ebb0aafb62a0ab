//! Lists of runs, and what is asked of the desk.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::fixture::Lab;

fn names(page: &Value) -> Vec<&str> {
    page["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect()
}

#[test]
fn runs_come_in_pages_newest_first() {
    let lab = Lab::new();
    for number in 0..7 {
        lab.submit(&format!("r{number}"));
    }
    let (status, first) = lab.get("/api/v1/runs?limit=3", &lab.read);
    assert_eq!((status, names(&first)), (StatusCode::OK, vec!["r6", "r5", "r4"]));
    let next = first["next"].as_str().unwrap();
    let (_, second) = lab.get(&format!("/api/v1/runs?limit=4&cursor={next}"), &lab.read);
    assert_eq!(names(&second), ["r3", "r2", "r1", "r0"]);
    assert_eq!(second["next"], Value::Null);
}

#[test]
fn runs_are_chosen_by_status_tag_workflow_and_text() {
    let lab = Lab::new();
    let run = lab.submit("alpha").to_string();
    lab.submit("beta");
    let patch = json!({ "add_tags": ["good"], "note": "look" });
    let request = super::fixture::request("PATCH", &format!("/api/v1/runs/{run}"))
        .header("authorization", super::fixture::bearer(&lab.run))
        .header("content-type", "application/json");
    let (status, form) = lab.json(request.body(patch.to_string().into()).unwrap());
    assert_eq!((status, &form["tags"], &form["note"]), (StatusCode::OK, &json!(["good"]), &json!("look")));
    let found = |query: &str| {
        let (status, page) = lab.get(&format!("/api/v1/runs?{query}"), &lab.read);
        assert_eq!(status, StatusCode::OK, "{query}: {page}");
        names(&page).join(" ")
    };
    assert_eq!(found("tag=good"), "alpha");
    assert_eq!(found("q=ALP"), "alpha");
    assert_eq!(found(&format!("q={}", &run[24..30])), "alpha");
    assert_eq!(found("workflow=w"), "beta alpha");
    assert_eq!(found("workflow=v"), "");
    assert_eq!(found("status=pending,failed"), "beta alpha");
    assert_eq!(found("status=running"), "");
    assert_eq!(lab.get("/api/v1/runs?status=odd", &lab.read).0, StatusCode::BAD_REQUEST);
    assert_eq!(lab.get("/api/v1/runs?limit=0", &lab.read).0, StatusCode::BAD_REQUEST);
    assert_eq!(lab.get("/api/v1/runs?limit=201", &lab.read).0, StatusCode::BAD_REQUEST);
    assert_eq!(lab.get("/api/v1/runs?cursor=x", &lab.read).0, StatusCode::BAD_REQUEST);
}

#[test]
fn an_unknown_run_is_a_problem_with_code_and_hint() {
    let lab = Lab::new();
    let (status, problem) = lab.get("/api/v1/runs/nope", &lab.read);
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!((&problem["code"], &problem["status"]), (&json!("not_found"), &json!(404)));
    assert!(problem["hint"].is_string(), "{problem}");
}

#[test]
fn a_submission_reaches_the_desk() {
    let lab = Lab::new();
    let body = json!({ "workflow": "w", "params": { "steps": 5, "name": "x" }, "name": "mine", "tags": ["a"], "priority": -2 });
    let (status, made) = lab.post("/api/v1/runs", &lab.run, body);
    assert_eq!((status, &made["new"], &made["run"]["name"]), (StatusCode::OK, &json!(true), &json!("mine")));
    let asked = lab.desk.asked.lock().unwrap().join("\n");
    assert!(asked.contains("Named(\"w\")") && asked.contains("priority: -2"), "{asked}");
    for wrong in [json!({}), json!({ "workflow": "w", "text": "x" }), json!({ "workflow": "w", "name": "a/b" })] {
        assert_eq!(lab.post("/api/v1/runs", &lab.run, wrong).0, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn an_approval_carries_the_name_of_the_token() {
    let lab = Lab::new();
    let run = lab.submit("r").to_string();
    let (status, form) =
        lab.post(&format!("/api/v1/runs/{run}/approve"), &lab.run, json!({ "step": "one", "comment": "fine" }));
    assert_eq!(status, StatusCode::OK, "{form}");
    let asked = lab.desk.asked.lock().unwrap().join("\n");
    assert!(asked.contains("approver: \"run\"") && asked.contains("Approved"), "{asked}");
}

#[test]
fn one_step_is_retried_and_a_schedule_takes_text() {
    let lab = Lab::new();
    let run = lab.submit("r").to_string();
    let (status, form) = lab.post(&format!("/api/v1/runs/{run}/steps/one/retry"), &lab.run, json!({}));
    assert_eq!((status, &form["name"]), (StatusCode::OK, &json!("r")));
    assert_eq!(lab.post(&format!("/api/v1/runs/{run}/steps/two/retry"), &lab.run, json!({})).0, StatusCode::NOT_FOUND);
    let schedule = |more: Value| {
        let mut body = json!({ "name": "nightly", "cron": "0 3 * * *" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lab.post("/api/v1/schedules", &lab.run, body).0
    };
    assert_eq!(schedule(json!({ "text": "name = \"w\"" })), StatusCode::OK);
    assert_eq!(schedule(json!({ "workflow": "w" })), StatusCode::OK);
    assert_eq!(schedule(json!({})), StatusCode::BAD_REQUEST);
    assert_eq!(schedule(json!({ "workflow": "w", "text": "x" })), StatusCode::BAD_REQUEST);
    let asked = lab.desk.asked.lock().unwrap().join("\n");
    assert!(asked.contains("Retry { step: Some(StepId(\"one\")) }"), "{asked}");
    assert!(asked.contains("Text(\"name = \\\"w\\\"\")") && asked.contains("Named(\"w\")"), "{asked}");
}

#[test]
fn the_document_names_every_route_of_the_api() {
    let lab = Lab::new();
    let (status, document) = lab.get("/api/v1/openapi.json", &lab.read);
    assert_eq!(status, StatusCode::OK);
    for route in crate::table::routes().iter().filter(|route| route.path.starts_with("/api/")) {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(operation["summary"].is_string(), "{} {}", route.method, route.path);
        assert!(operation["security"][0]["token"].is_array(), "{} {}", route.method, route.path);
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
