//! Lets one model answer until a request for another one is the oldest.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::answering::Answering;
use super::queue::{Asked, Next, Queue};
use stepwell_batch::body::{Body, Endpoint};
use stepwell_batch::results::{Answer, BatchName, FinishReason, Header, completion_body};
use stepwell_http::{CompletionSink, InferenceLoad, Listening, Piece};
use stepwell_steps::Told;
use uuid::Uuid;

/// Wait for a request while the model has nothing to do.
const IDLE: Duration = Duration::from_millis(500);

/// A request that the model works on.
struct Active {
    sink: CompletionSink,
    endpoint: Endpoint,
    model: String,
    asked_at: Instant,
    has_text: bool,
}

/// Why the model stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Driven {
    Other,
    Closing,
}

/// Answers requests for the model of this name, `slots` at a time.
pub(super) fn drive(queue: &Queue, model: &str, slots: usize, answering: &mut impl Answering) -> Driven {
    let mut driver = Driver { queue, answering, active: HashMap::new(), next: 0 };
    loop {
        let patience = if driver.active.is_empty() { IDLE } else { Duration::ZERO };
        match queue.take(model, slots - driver.active.len().min(slots), patience) {
            Next::Closing => return Driven::Closing,
            Next::Other if driver.active.is_empty() => return Driven::Other,
            // What was started is finished first; nothing new of this model goes before the other one.
            Next::Other => {}
            Next::Take(asked) => asked.into_iter().for_each(|asked| driver.start(asked)),
        }
        if !driver.active.is_empty() {
            driver.step();
        }
    }
}

struct Driver<'a, A> {
    queue: &'a Queue,
    answering: &'a mut A,
    active: HashMap<u64, Active>,
    next: u64,
}

impl<A: Answering> Driver<'_, A> {
    fn start(&mut self, Asked { body, sink, at }: Asked) {
        if sink.listening() == Listening::No {
            self.queue.note(|load| count(load, "abort"));
            return;
        }
        self.next += 1;
        let request = self.next;
        if let Err(error) = self.answering.submit(request, &body, seed(&body)) {
            sink.send(Piece::Failed(error));
            self.queue.note(|load| count(load, "error"));
            return;
        }
        sink.send(Piece::Started);
        let Body { endpoint, model, .. } = body;
        self.active.insert(request, Active { sink, endpoint, model, asked_at: at, has_text: false });
    }

    fn step(&mut self) {
        let gone: Vec<u64> = self
            .active
            .iter()
            .filter(|(_, active)| active.sink.listening() == Listening::No)
            .map(|(id, _)| *id)
            .collect();
        for request in gone {
            self.drop_request(request);
        }
        for told in self.answering.step() {
            self.tell(told);
        }
        let (running, cache_usage) = (self.active.len() as u64, self.answering.cache_usage());
        self.queue.note(|load| (load.running, load.cache_usage) = (running, cache_usage));
    }

    /// Nobody waits for the answer any more.
    fn drop_request(&mut self, request: u64) {
        self.answering.cancel(request);
        self.active.remove(&request);
        self.queue.note(|load| count(load, "abort"));
    }

    fn tell(&mut self, told: Told) {
        match told {
            Told::Text { request, choice, text, logprobs } => {
                let Some(active) = self.active.get_mut(&request) else { return };
                if !active.has_text {
                    active.has_text = true;
                    let seconds = active.asked_at.elapsed().as_secs_f64();
                    self.queue.note(|load| load.first_token.note(seconds));
                }
                active.sink.send(Piece::Text { choice, text, tokens: logprobs });
            }
            Told::Finished { request, choice, reason } => {
                if let Some(active) = self.active.get(&request) {
                    active.sink.send(Piece::Finished { choice, reason });
                }
            }
            Told::Done { request, answer } => {
                if let Some(active) = self.active.remove(&request) {
                    self.done(&active, &answer);
                }
            }
            Told::Failed { request, error } => {
                if let Some(active) = self.active.remove(&request) {
                    active.sink.send(Piece::Failed(error));
                    self.queue.note(|load| count(load, "error"));
                }
            }
        }
    }

    fn done(&self, active: &Active, answer: &Answer) {
        let seconds = active.asked_at.elapsed().as_secs_f64();
        self.queue.note(|load| {
            load.prompt_tokens += answer.usage.prompt_tokens;
            load.generated_tokens += answer.usage.completion_tokens;
            load.whole.note(seconds);
            count(load, answer.choices.last().map_or("stop", |choice| reason(choice.finish_reason)));
        });
        let header = Header {
            name: BatchName::of([&*Uuid::now_v7().to_string()]),
            created: jiff::Timestamp::now().as_second(),
            system_fingerprint: String::new(),
        };
        let body = completion_body(&header, 0, (active.endpoint, &active.model), answer);
        active.sink.send(Piece::Done { body, usage: answer.usage });
    }
}

/// The seed of the request, or a new one.
fn seed(body: &Body) -> u64 {
    body.options.seed.map_or_else(|| Uuid::now_v7().as_u64_pair().1, i64::cast_unsigned)
}

fn count(load: &mut InferenceLoad, reason: &'static str) {
    match load.ended.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += 1,
        None => load.ended.push((reason, 1)),
    }
}

/// vLLM's names of the reasons.
fn reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}
