//! A model for tests: it reverses the prompt, a character in each step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::infer::backend::{Backend, Happened};
use stepwell_batch::body::{Body, Prompt};
use stepwell_batch::key::Identity;
use stepwell_batch::results::{Choice, FinishReason, Usage};
use stepwell_batch::{Code, RowError};

/// What the tests know of a model, over all attempts.
#[derive(Default)]
pub struct Ledger {
    /// Prompts in the order in which they were submitted, with the number of others that ran then.
    pub submitted: Vec<(String, usize)>,
    pub finished: Vec<String>,
    /// Panics in the step in which a prompt with this text runs, as if the process died.
    pub dies_with: Option<String>,
    /// Panics after so many steps.
    pub steps_left: Option<u32>,
    /// Panics in a step with more prompts.
    pub most_running: Option<usize>,
    /// Time that a step takes.
    pub pause: Duration,
    /// Characters that all prompts together may have.
    pub memory: Option<usize>,
}

pub struct Toy {
    ledger: Rc<RefCell<Ledger>>,
    running: BTreeMap<u64, (Job, usize)>,
}

pub struct Job {
    prompt: String,
    seed: u64,
    n: u64,
}

pub fn identity() -> Identity {
    Identity { model: "toy".to_owned(), template: String::new(), engine: "1".to_owned() }
}

impl Toy {
    pub fn new(ledger: &Rc<RefCell<Ledger>>) -> Toy {
        Toy { ledger: ledger.clone(), running: BTreeMap::new() }
    }
}

impl Backend for Toy {
    type Job = Job;

    fn prepare(&self, body: &Body, seed: u64) -> Result<Vec<Job>, RowError> {
        let Prompt::Texts { texts, .. } = &body.prompt else { panic!("the toy reads texts") };
        assert!(!texts[0].contains("panic"), "a prompt that panics");
        if texts[0].len() > 100 {
            return Err(RowError::about("prompt", Code::ContextLengthExceeded, "the prompt is too long"));
        }
        let n = u64::from(body.options.n);
        Ok(texts.iter().map(|text| Job { prompt: text.clone(), seed, n }).collect())
    }

    fn submit(&mut self, id: u64, job: Job) -> Result<(), RowError> {
        let mut ledger = self.ledger.borrow_mut();
        ledger.submitted.push((job.prompt.clone(), self.running.len()));
        let used: usize = self.running.values().map(|(job, _)| job.prompt.len()).sum();
        if ledger.memory.is_some_and(|memory| used + job.prompt.len() > memory) {
            return Err(RowError::new(Code::OutOfMemory, "no memory"));
        }
        self.running.insert(id, (job, 0));
        Ok(())
    }

    fn step(&mut self) -> Vec<Happened> {
        let mut ledger = self.ledger.borrow_mut();
        if let Some(left) = &mut ledger.steps_left {
            assert!(*left > 0, "the process dies");
            *left -= 1;
        }
        std::thread::sleep(ledger.pause);
        assert!(ledger.most_running.is_none_or(|most| self.running.len() <= most), "the process dies of so many rows");
        let poison = ledger.dies_with.clone();
        assert!(!self.running.values().any(|(job, _)| Some(&job.prompt) == poison.as_ref()), "a poisoned row");
        let mut happened = vec![Happened::Tokens { computed: self.running.len() as u64 }];
        self.running.retain(|id, (job, done)| {
            *done += 1;
            let over = *done >= job.prompt.chars().count();
            if over {
                ledger.finished.push(job.prompt.clone());
                let reversed: String = job.prompt.chars().rev().collect();
                happened.extend((0..job.n).map(|number| {
                    let text = format!("{reversed} {}", (job.seed.wrapping_add(number)) % 1000);
                    let choice =
                        Choice { text, finish_reason: FinishReason::Stop, logprobs: None, prompt_logprobs: None };
                    let usage = Usage { prompt_tokens: 1, completion_tokens: *done as u64 };
                    Happened::Finished { id: *id, number: number as usize, choice, usage }
                }));
            }
            !over
        });
        happened
    }

    fn cancel(&mut self, id: u64) {
        self.running.remove(&id);
    }
}
