//! The way from the thread of a model to the client.

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use stepwell_batch::RowError;

/// Something that the model has for the client, in this order: `Started`, then `Text` and `Finished` of each choice, then
/// `Done`. `Failed` may come at any time and is the last.
#[derive(Clone, PartialEq, Debug)]
pub enum Piece {
    /// The request was read; its rows wait for their turn.
    Started,
    /// More text of a choice.
    Text {
        choice: usize,
        text: String,
        tokens: Vec<TokenLogprobs>,
    },
    Finished {
        choice: usize,
        reason: FinishReason,
    },
    Done(Box<Answer>),
    Failed(RowError),
}

/// A token with its log-probability, and the likelier ones, if the client has asked for them.
#[derive(Clone, PartialEq, Debug)]
pub struct TokenLogprobs {
    pub text: String,
    pub logprob: f32,
    pub top: Vec<(String, f32)>,
}

/// The whole answer: its body, as a line of a batch has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    pub body: Value,
    pub usage: Usage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FinishReason {
    Stop,
    Length,
}

impl FinishReason {
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
        }
    }
}

/// The model's end. Its memory is bounded by the answer, whose length is.
#[derive(Clone, Debug)]
pub struct CompletionSink(UnboundedSender<Piece>);

/// Tells if anybody still waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listening {
    Yes,
    /// The client has gone: its rows can be cancelled.
    No,
}

impl CompletionSink {
    pub(super) fn new() -> (CompletionSink, UnboundedReceiver<Piece>) {
        let (sender, receiver) = unbounded_channel();
        (CompletionSink(sender), receiver)
    }

    #[cfg(test)]
    pub fn for_tests() -> (CompletionSink, UnboundedReceiver<Piece>) {
        CompletionSink::new()
    }

    pub fn send(&self, piece: Piece) -> Listening {
        match self.0.send(piece) {
            Ok(()) => Listening::Yes,
            Err(_) => Listening::No,
        }
    }

    /// For a row that has nothing to send yet.
    pub fn listening(&self) -> Listening {
        if self.0.is_closed() { Listening::No } else { Listening::Yes }
    }
}
