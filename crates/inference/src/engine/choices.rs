//! From logits to tokens.

use std::sync::Arc;

use stepwell_base::rng::{Rng, derive_seed};

use super::event::{Event, Failure, Reason, StopCause};
use super::sequence::Sequence;
use crate::cpu::Instructions;
use crate::sampling::{FormState, Logprobs, SamplingOptions, TokenBytes, adjust, choose, logprobs};

/// What follows from the logits after the last token of a sequence. A pure function of the sequence, so that rows can be
/// computed on all threads.
pub(super) struct Choice {
    pub token: Result<u32, Failure>,
    pub logprobs: Option<Logprobs>,
}

/// Tokens that may follow.
#[derive(Clone, Copy)]
pub(super) struct Allowed<'a> {
    /// Tokens that end texts.
    pub eos: &'a [u32],
    /// Tokens that never follow.
    pub suppressed: &'a [u32],
    /// Number of tokens; further logits stand for none.
    pub tokens: usize,
    /// Bytes of each token, for texts that must have a form.
    pub bytes: &'a [TokenBytes],
}

/// Chooses the next token of a sequence.
pub(super) fn next(
    instructions: Instructions,
    sequence: &Sequence<'_>,
    allowed: Allowed<'_>,
    logits: &[f32],
) -> Choice {
    let options = &sequence.options;
    let position = sequence.generated();
    let mut banned: Vec<u32> = allowed.suppressed.to_vec();
    if position < options.min_tokens {
        banned.extend(options.stop_token_ids.iter().chain(allowed.eos.iter().filter(|_| !options.ignore_eos)));
    }
    banned.extend(allowed.tokens as u32..logits.len() as u32);
    let mut scores = logits.to_vec();
    adjust(&mut scores, options, &sequence.seen, &banned);
    if let Some(form) = &sequence.form {
        form.ban(&mut scores, allowed.bytes);
    }
    let seed = derive_seed(options.seed, &format!("completion {}", sequence.choice), position as u64);
    let token = choose(instructions, &scores, options, &mut Rng::new(seed)).ok_or_else(|| {
        match logits.iter().all(|logit| logit.is_finite()) {
            true => Failure::NoToken { position },
            false => Failure::NotFinite { position },
        }
    });
    let asked: &[u32] = &options.logprob_token_ids;
    let wanted = token.ok().zip(options.logprobs);
    let logprobs = wanted.map(|(token, count)| logprobs(instructions, logits, token, (count, asked)));
    Choice { token, logprobs }
}

/// Appends a choice to a sequence. Returns the events, and why the sequence ends and whether a stop token is counted, if it
/// does.
pub(super) fn append(
    sequence: &mut Sequence<'_>,
    choice: Choice,
    allowed: Allowed<'_>,
) -> (Option<Event>, Option<(Reason, usize)>) {
    let options: Arc<SamplingOptions> = sequence.options.clone();
    let position = sequence.generated();
    let token = match choice.token {
        Ok(token) => token,
        Err(failure) => return (None, Some((Reason::Failed(failure), 0))),
    };
    let ended = match () {
        () if options.stop_token_ids.contains(&token) => Some(StopCause::Token(token)),
        () if allowed.eos.contains(&token) && !options.ignore_eos => Some(StopCause::Eos(token)),
        () => None,
    };
    if let Some(cause) = ended {
        return (None, Some((Reason::Stop(cause), 1)));
    }
    sequence.tokens.push(token);
    sequence.seen.add(&options, token);
    let piece = match sequence.stream.as_mut().map(|stream| stream.push(token)) {
        Some(Err(_)) => return (None, Some((Reason::Failed(Failure::Undecodable { position }), 0))),
        Some(Ok(piece)) => piece,
        None => String::new(),
    };
    // Before `min_tokens`, stop strings are text.
    let stops: &[String] = if sequence.generated() >= options.min_tokens { &options.stop } else { &[] };
    let stop = sequence.scanner.push(&piece, stops, options.include_stop).map(str::to_owned);
    if let Some(form) = &sequence.form {
        sequence.form = allowed.bytes.get(token as usize).and_then(|bytes| form.after(bytes));
    }
    let reason = match stop {
        Some(stop) => Some(Reason::Stop(StopCause::Text(stop))),
        None if sequence.form.as_ref().is_some_and(FormState::is_complete) => Some(Reason::Stop(StopCause::Json)),
        None if sequence.tokens.len() >= sequence.limit => Some(Reason::Length),
        None => None,
    };
    let text = sequence.scanner.ready(stops);
    let event = Event::Token { id: sequence.id, choice: sequence.choice, token, text, logprobs: choice.logprobs };
    (Some(event), reason.map(|reason| (reason, 0)))
}
