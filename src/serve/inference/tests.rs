//! Requests meet a model that says what the test wants.

use std::collections::BTreeMap;
use std::thread;

use serde_json::json;

use super::answering::Answering;
use super::drive::{Driven, drive};
use super::queue::Queue;
use stepwell_batch::body::{Body, Endpoint};
use stepwell_batch::results::{Answer, Choice, FinishReason, Usage};
use stepwell_batch::{Code, RowError};
use stepwell_http::{CompletionSink, Piece, Pieces};
use stepwell_steps::Told;

/// Says one letter in each step, `max_tokens` of them. A request for 13 is refused, one of seed 13 fails in the middle.
#[derive(Default)]
struct Letters {
    active: BTreeMap<u64, (u32, u32, bool)>,
    most: usize,
    cancelled: Vec<u64>,
}

impl Answering for Letters {
    fn submit(&mut self, request: u64, body: &Body, seed: u64) -> Result<(), RowError> {
        let left = body.options.max_tokens.unwrap_or(1);
        if left == 13 {
            return Err(RowError::about("prompt", Code::ContextLengthExceeded, "too long"));
        }
        self.active.insert(request, (left, left, seed == 13));
        self.most = self.most.max(self.active.len());
        Ok(())
    }

    fn step(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for (&request, (left, all, fails)) in &mut self.active {
            *left -= 1;
            if *fails {
                told.push(Told::Failed { request, error: RowError::new(Code::InternalError, "broken") });
                *left = 0;
                continue;
            }
            told.push(Told::Text { request, choice: 0, text: "a".to_owned(), logprobs: Vec::new() });
            if *left == 0 {
                told.push(Told::Finished { request, choice: 0, reason: FinishReason::Length });
                let text = "a".repeat(*all as usize);
                let choices =
                    vec![Choice { text, finish_reason: FinishReason::Length, logprobs: None, prompt_logprobs: None }];
                let usage = Usage { prompt_tokens: 1, completion_tokens: u64::from(*all) };
                told.push(Told::Done { request, answer: Answer { choices, usage } });
            }
        }
        self.active.retain(|_, (left, ..)| *left > 0);
        told
    }

    fn cancel(&mut self, request: u64) {
        self.active.remove(&request);
        self.cancelled.push(request);
    }

    fn cache_usage(&self) -> f64 {
        0.5
    }
}

fn body(model: &str, max_tokens: u32, seed: i64) -> Body {
    let body = json!({ "model": model, "prompt": "x", "max_tokens": max_tokens, "seed": seed });
    let serde_json::Value::Object(body) = body else { unreachable!() };
    Body::parse(Endpoint::Completions, body).unwrap()
}

fn ask(queue: &Queue, body: Body) -> Pieces {
    let (sink, pieces) = CompletionSink::new();
    queue.push(body, sink).unwrap();
    pieces
}

/// The text of an answer and how it ends.
fn answer(mut pieces: Pieces) -> (String, Result<Usage, RowError>) {
    let mut text = String::new();
    loop {
        match pieces.wait().expect("an end") {
            Piece::Text { text: more, .. } => text.push_str(&more),
            Piece::Done { usage, .. } => return (text, Ok(usage)),
            Piece::Failed(error) => return (text, Err(error)),
            Piece::Started | Piece::Finished { .. } => {}
        }
    }
}

#[test]
fn requests_are_answered_side_by_side_and_never_more_than_there_are_slots() {
    let queue = Queue::default();
    let asked: Vec<Pieces> = (1..=7).map(|tokens| ask(&queue, body("m", tokens, 1))).collect();
    let own = queue.clone();
    let model = thread::spawn(move || {
        let mut letters = Letters::default();
        (drive(&own, "m", 3, &mut letters), letters.most)
    });
    for (tokens, pieces) in (1..=7).zip(asked) {
        let (text, usage) = answer(pieces);
        assert_eq!((text.len(), usage.unwrap().completion_tokens), (tokens, tokens as u64));
    }
    queue.close();
    assert_eq!(model.join().unwrap(), (Driven::Closing, 3));
    let load = queue.load();
    assert_eq!((load.generated_tokens, load.prompt_tokens, load.waiting), (28, 7, 0));
    assert_eq!(load.ended, [("length", 7)]);
    assert_eq!(load.first_token.buckets().last().unwrap().1, 7);
}

#[test]
fn a_request_that_is_refused_or_breaks_does_not_touch_the_others() {
    let queue = Queue::default();
    let refused = ask(&queue, body("m", 13, 1));
    let broken = ask(&queue, body("m", 5, 13));
    let good = ask(&queue, body("m", 4, 1));
    let own = queue.clone();
    let model = thread::spawn(move || drive(&own, "m", 4, &mut Letters::default()));
    assert_eq!(answer(refused).1.unwrap_err().code, Code::ContextLengthExceeded);
    assert_eq!(answer(broken).1.unwrap_err().code, Code::InternalError);
    assert_eq!(answer(good).0, "aaaa");
    queue.close();
    model.join().unwrap();
}

#[test]
fn a_client_that_goes_away_ends_its_request_and_one_that_has_gone_is_never_started() {
    let queue = Queue::default();
    drop(ask(&queue, body("m", 9, 1)));
    let mut leaves = ask(&queue, body("m", 1_000_000, 1));
    let stays = ask(&queue, body("m", 3, 1));
    let own = queue.clone();
    let model = thread::spawn(move || {
        let mut letters = Letters::default();
        drive(&own, "m", 4, &mut letters);
        letters.cancelled
    });
    assert_eq!(leaves.wait(), Some(Piece::Started));
    drop(leaves);
    assert_eq!(answer(stays).0, "aaa");
    // The next request starts only if the model still answers.
    assert_eq!(answer(ask(&queue, body("m", 2, 1))).0, "aa");
    queue.close();
    assert_eq!(model.join().unwrap(), [1]);
    let mut ended = queue.load().ended;
    ended.sort_unstable();
    assert_eq!(ended, [("abort", 2), ("length", 2)]);
}

#[test]
fn another_model_has_its_turn_after_what_was_started() {
    let queue = Queue::default();
    let first = ask(&queue, body("a", 5, 1));
    let other = ask(&queue, body("b", 2, 1));
    let late = ask(&queue, body("a", 1, 1));
    assert_eq!(queue.next_model().as_deref(), Some("a"));
    assert_eq!(drive(&queue, "a", 4, &mut Letters::default()), Driven::Other);
    assert_eq!(answer(first).0, "aaaaa");
    assert_eq!(queue.next_model().as_deref(), Some("b"), "a later request does not go before it");
    assert_eq!(drive(&queue, "b", 4, &mut Letters::default()), Driven::Other);
    assert_eq!(answer(other).0, "aa");
    drop(late);
}

#[test]
fn a_full_queue_refuses() {
    let queue = Queue::default();
    let kept: Vec<Pieces> = (0..256).map(|_| ask(&queue, body("m", 1, 1))).collect();
    let (sink, _pieces) = CompletionSink::new();
    assert!(queue.push(body("m", 1, 1), sink).is_err());
    assert_eq!(queue.load().waiting, 256);
    drop(kept);
}
