//! The way from the thread of a model to the client.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use stepwell_batch::RowError;
use stepwell_batch::results::{FinishReason, TokenLogprob, Usage};

/// Something that the model has for the client, in this order: `Started`, then `Text` and `Finished` of each choice, then
/// `Done`. `Failed` may come at any time and is the last.
#[derive(Clone, PartialEq, Debug)]
pub enum Piece {
    /// The model has accepted the request.
    Started,
    /// More text of a choice, with its tokens if the client has asked for log-probabilities.
    Text {
        choice: usize,
        text: String,
        tokens: Vec<TokenLogprob>,
    },
    Finished {
        choice: usize,
        reason: FinishReason,
    },
    /// The whole answer: its body as JSON, like that of a line of a batch.
    Done {
        body: String,
        usage: Usage,
    },
    Failed(RowError),
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

/// The client's end. Dropped, it tells the model that nobody listens any more.
#[derive(Debug)]
pub struct Pieces(UnboundedReceiver<Piece>);

impl CompletionSink {
    pub fn new() -> (CompletionSink, Pieces) {
        let (sender, receiver) = unbounded_channel();
        (CompletionSink(sender), Pieces(receiver))
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

impl Pieces {
    /// The next piece; `None` when the model will send nothing more.
    pub async fn next(&mut self) -> Option<Piece> {
        self.0.recv().await
    }

    /// Like [`Pieces::next`], on a thread that may wait.
    pub fn wait(&mut self) -> Option<Piece> {
        self.0.blocking_recv()
    }
}
