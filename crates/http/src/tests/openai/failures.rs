//! What goes wrong in other batch servers: the fault catalogue of llm-d's batch gateway (its pull request 653), as far as a
//! server with one database can have them. `zombie_owner_burns_inference` and `worker_crash_strands_job` are the engine's.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::served::{End, asked, cancel, content, create, end, lines, look, run_of, runs, show, upload};
use crate::openai::Fill;
use crate::tests::fixture::Lab;
use stepwell_artifact::ArtifactStore;
use stepwell_store::{BatchEnding, BatchOutcome};

fn id(batch: &Value) -> &str {
    batch["id"].as_str().unwrap()
}

fn closing(batch: &Value) -> String {
    format!("{}:close", id(batch))
}

/// A batch whose run is at work.
fn at_work(lab: &Lab, count: usize) -> Value {
    let batch = create(lab, count);
    look(lab);
    look(lab);
    assert_eq!(show(lab, &batch)["status"], "in_progress");
    batch
}

#[test]
fn terminal_overwrite() {
    let lab = Lab::new();
    let batch = at_work(&lab, 2);
    end(&lab, run_of(&lab, id(&batch)).unwrap(), End::answers(2));
    look(&lab);
    let done = show(&lab, &batch);
    let late = BatchEnding {
        outcome: BatchOutcome::Failed,
        at: Timestamp::now(),
        finalizing_at: None,
        in_progress_at: None,
        output_file: None,
        error_file: None,
        counts: Default::default(),
        usage: None,
        errors: Vec::new(),
    };
    assert!(!lab.store().end_batch(id(&batch), &late, &[]).unwrap());
    assert!(!lab.store().cancel_batch(id(&batch), Timestamp::now()).unwrap());
    let (status, refused) = cancel(&lab, &batch);
    assert_eq!(status, StatusCode::BAD_REQUEST, "a client would repeat a 409: {refused}");
    look(&lab);
    assert_eq!(show(&lab, &batch), done);
}

#[test]
fn cancel_reverted_and_cancel_racing_completion() {
    let lab = Lab::new();
    let batch = at_work(&lab, 2);
    let run = run_of(&lab, id(&batch)).unwrap();
    assert_eq!(cancel(&lab, &batch).1["status"], "cancelling");
    // All rows were done before the engine heard of it.
    end(&lab, run, End::answers(2));
    assert_eq!(show(&lab, &batch)["status"], "cancelling");
    look(&lab);
    let ended = show(&lab, &batch);
    assert_eq!((&ended["status"], &ended["completed_at"]), (&json!("cancelled"), &Value::Null));
    assert!(ended["cancelled_at"].is_i64());
    // The answers are not lost.
    assert_eq!(lab.body(content(&lab, &ended["output_file_id"])).len(), 2 * "{\"custom_id\":\"r0\"}\n".len());
}

/// The wish is stored before anything is done about it: a server that dies right after its answer has lost nothing.
#[test]
fn cancel_event_lost() {
    let lab = Lab::new();
    let batch = at_work(&lab, 3);
    let run = run_of(&lab, id(&batch)).unwrap();
    lab.store().cancel_batch(id(&batch), Timestamp::now()).unwrap();
    look(&lab);
    let stop = format!("{run} Cancel");
    assert_eq!(lab.desk.asked.lock().unwrap().last(), Some(&stop));
    end(&lab, run, End::Canceled);
    look(&lab);
    assert_eq!(lab.desk.batches.lock().unwrap().last().unwrap().fill, Fill::Cancelled);
    assert_eq!(show(&lab, &batch)["status"], "cancelling");
    let errors = "{\"custom_id\":\"r1\"}\n{\"custom_id\":\"r2\"}\n".to_owned();
    let output = "{\"custom_id\":\"r0\"}\n".to_owned();
    end(&lab, run_of(&lab, &closing(&batch)).unwrap(), End::Succeeds { output, errors, completed: 1, failed: 2 });
    look(&lab);
    let ended = show(&lab, &batch);
    assert_eq!(ended["status"], "cancelled");
    assert_eq!(ended["request_counts"], json!({ "total": 3, "completed": 1, "failed": 2 }));
    assert!(ended["output_file_id"].is_string() && ended["error_file_id"].is_string());
}

#[test]
fn a_batch_that_expires_keeps_the_rows_that_are_done() {
    let lab = Lab::new();
    let file = upload(&lab, &lines(2));
    let mut asked = asked(&file);
    asked["completion_window"] = json!("1s");
    let batch = lab.post("/v1/batches", &lab.run, asked).1;
    look(&lab);
    look(&lab);
    let run = run_of(&lab, id(&batch)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    look(&lab);
    assert_eq!(lab.desk.asked.lock().unwrap().last(), Some(&format!("{run} Cancel")));
    end(&lab, run, End::Canceled);
    look(&lab);
    assert_eq!(lab.desk.batches.lock().unwrap().last().unwrap().fill, Fill::Expired);
    let (output, errors) = ("{\"custom_id\":\"r0\"}\n".to_owned(), "{\"custom_id\":\"r1\"}\n".to_owned());
    end(&lab, run_of(&lab, &closing(&batch)).unwrap(), End::Succeeds { output, errors, completed: 1, failed: 1 });
    look(&lab);
    let ended = show(&lab, &batch);
    assert_eq!(ended["status"], "expired");
    assert!(ended["expired_at"].is_i64() && ended["output_file_id"].is_string() && ended["error_file_id"].is_string());
}

/// The server dies after it has stored the batch: no answer, no run. Its next start finds the row.
#[test]
fn create_crash_after_store() {
    let lab = Lab::new();
    let batch = create(&lab, 2);
    assert_eq!(runs(&lab), 0);
    // It dies again after the check, and after the submission of the run, before it has noted anything.
    for _ in 0..3 {
        look(&lab);
    }
    assert_eq!(runs(&lab), 1);
    assert_eq!(show(&lab, &batch)["status"], "in_progress");
    assert_eq!(lab.desk.batches.lock().unwrap().len(), 1);
}

/// Two servers look at the same moment: their steps meet at the key of the run and at the ending.
#[test]
fn duplicate_execution_and_replicas_execute_once() {
    let lab = Lab::new();
    let batch = create(&lab, 2);
    look(&lab);
    let (one, other) = (lab.app.clone(), lab.app.clone());
    lab.runtime.block_on(async {
        let both = tokio::join!(crate::openai::round(&one), crate::openai::round(&other));
        assert!(both.0.is_ok() && both.1.is_ok());
    });
    assert_eq!(runs(&lab), 1);
    end(&lab, run_of(&lab, id(&batch)).unwrap(), End::answers(2));
    lab.runtime.block_on(async {
        let both = tokio::join!(crate::openai::round(&one), crate::openai::round(&other));
        assert!(both.0.is_ok() && both.1.is_ok());
    });
    assert_eq!(show(&lab, &batch)["status"], "completed");
    assert_eq!(lab.get("/v1/files?purpose=batch_output", &lab.read).1["data"].as_array().unwrap().len(), 1);
}

/// A batch that can never be moved does not keep the others from moving, look after look.
#[test]
fn recovery_crash_loop() {
    let lab = Lab::new();
    let broken = create(&lab, 1);
    let input = lab.store().reader().batch(id(&broken)).unwrap().unwrap().input;
    let path = ArtifactStore::open(lab.dir.path()).unwrap().blob_path(&input.digest);
    std::fs::remove_file(&path).unwrap();
    // Reading a folder as a file fails at every look.
    std::fs::create_dir(&path).unwrap();
    let good = create(&lab, 2);
    for _ in 0..3 {
        look(&lab);
    }
    assert_eq!(show(&lab, &good)["status"], "in_progress");
    assert_eq!(show(&lab, &broken)["status"], "validating");
    cancel(&lab, &broken);
    look(&lab);
    assert_eq!(show(&lab, &broken)["status"], "cancelled");
}

/// What can never be done ends the batch and says why.
#[test]
fn a_batch_whose_input_or_model_is_gone_fails() {
    let lab = Lab::new();
    let gone = create(&lab, 1);
    let input = lab.store().reader().batch(id(&gone)).unwrap().unwrap().input;
    ArtifactStore::open(lab.dir.path()).unwrap().remove(&input.digest).unwrap();
    look(&lab);
    let failed = show(&lab, &gone);
    assert_eq!((&failed["status"], &failed["errors"]["data"][0]["code"]), (&json!("failed"), &json!("file_not_found")));
    let unknown = create(&lab, 2);
    look(&lab);
    *lab.desk.refuses.lock().unwrap() = true;
    look(&lab);
    let failed = show(&lab, &unknown);
    assert_eq!((&failed["status"], &failed["errors"]["data"][0]["code"]), (&json!("failed"), &json!("run_failed")));
    assert_eq!(failed["errors"]["data"][0]["message"], "the model is gone");
}

/// The run has ended and the server dies before it has made the files: the next look makes them.
#[test]
fn finalization_strand() {
    let lab = Lab::new();
    let batch = at_work(&lab, 2);
    end(&lab, run_of(&lab, id(&batch)).unwrap(), End::answers(2));
    assert_eq!(show(&lab, &batch)["status"], "finalizing");
    assert_eq!(show(&lab, &batch)["output_file_id"], Value::Null, "no file before the ending");
    look(&lab);
    assert_eq!(show(&lab, &batch)["status"], "completed");
    // Even a closing run that cannot write leaves nothing hanging.
    let other = at_work(&lab, 3);
    cancel(&lab, &other);
    end(&lab, run_of(&lab, id(&other)).unwrap(), End::Canceled);
    look(&lab);
    end(&lab, run_of(&lab, &closing(&other)).unwrap(), End::Fails("the disk is full"));
    look(&lab);
    let ended = show(&lab, &other);
    assert_eq!(
        (&ended["status"], &ended["errors"]["data"][0]["message"]),
        (&json!("cancelled"), &json!("the disk is full"))
    );
}

/// Content without a row is nobody's: `gc` removes it. Content with a row stays, and so does that of an open batch whose
/// file was deleted.
#[test]
fn orphaned_blob() {
    let lab = Lab::new();
    let artifacts = ArtifactStore::open(lab.dir.path()).unwrap();
    let orphan = artifacts.put_bytes(b"an upload whose server died", "application/jsonl").unwrap();
    let batch = create(&lab, 2);
    let row = lab.store().reader().batch(id(&batch)).unwrap().unwrap();
    assert!(lab.store().remove_file(&row.input_file).unwrap());
    let kept: Vec<String> =
        lab.store().reader().served_content().unwrap().iter().map(|content| content.digest.to_string()).collect();
    assert_eq!(kept, [row.input.digest.to_string()]);
    assert!(lab.store().reader().is_referenced(&row.input.digest).unwrap());
    assert!(!lab.store().reader().is_referenced(&orphan.digest).unwrap());
    look(&lab);
    look(&lab);
    assert_eq!(show(&lab, &batch)["status"], "in_progress", "the batch does not need the file any more");
}

/// A run that a person cancels with `stepwell cancel` ends its batch.
#[test]
fn a_run_that_is_cancelled_elsewhere_is_a_cancelled_batch() {
    let lab = Lab::new();
    let batch = at_work(&lab, 2);
    end(&lab, run_of(&lab, id(&batch)).unwrap(), End::Canceled);
    look(&lab);
    assert_eq!(show(&lab, &batch)["status"], "finalizing");
    end(&lab, run_of(&lab, &closing(&batch)).unwrap(), End::answers(1));
    look(&lab);
    assert_eq!(show(&lab, &batch)["status"], "cancelled");
}
