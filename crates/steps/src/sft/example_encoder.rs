//! Turns lines of examples into tokens.

use super::row::{self, Row};
use super::token_writer::Vocabulary;
use stepwell_base::failure::Failure;
use stepwell_models::{Conversation, Example, Model, parse_tool_arguments};

/// Encodes rows for one model.
pub struct ExampleEncoder<'m> {
    model: &'m Model,
    /// Token that ends a text, and that is put behind completions.
    end: u32,
    pub(super) vocabulary: Vocabulary,
}

/// A row in tokens.
pub struct Encoded {
    pub example: Example,
    /// Bytes of the text that the learned tokens stand for.
    pub text_bytes: u64,
    /// True if the last learned part has a token that ends a text.
    pub ends: bool,
}

impl ExampleEncoder<'_> {
    /// # Errors
    /// When the model names no token that ends a text.
    pub fn new(model: &Model) -> Result<ExampleEncoder<'_>, Failure> {
        let Some(end) = model.special.eos.first().copied() else {
            return Err(Failure::fatal("the model names no token that ends a text")
                .with_hint("set `eos_token_id` in its `generation_config.json` or `config.json`"));
        };
        let size = u32::try_from(model.tokenizer.vocab())
            .map_err(|_| Failure::fatal("the tokenizer's vocabulary does not fit 32 bits"))?;
        let vocabulary = Vocabulary { bos: model.special.bos.unwrap_or(end), eos: end, size };
        Ok(ExampleEncoder { model, end, vocabulary })
    }

    pub(crate) fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    /// Encodes a line.
    ///
    /// # Errors
    /// Why it is no example, or cannot be learned exactly.
    pub fn encode(&self, line: &[u8]) -> Result<Encoded, String> {
        self.encode_row(&row::read(line).map_err(|error| error.to_string())?)
    }

    /// Encodes what a line says.
    ///
    /// # Errors
    /// Why it cannot be learned exactly.
    pub(crate) fn encode_row(&self, row: &Row) -> Result<Encoded, String> {
        let example = match row {
            Row::Text { prompt, completion } => self.text(prompt, completion),
            Row::Chat { messages, prompt, tools, variables } => {
                let Some(chat) = &self.model.chat else {
                    return Err("it has messages, and the model has no chat template".to_owned());
                };
                let mut messages = messages.clone();
                parse_tool_arguments(&mut messages);
                let conversation = Conversation {
                    tools: tools.as_ref(),
                    variables: variables.as_ref(),
                    // A template that prints the date prints that of no day, so that the tokens stay the same.
                    ..Conversation::new(&messages, 0)
                };
                chat.render_learned(&conversation, *prompt)
                    .and_then(|rendered| self.model.tokenizer.encode_learned(&rendered))
            }
        };
        let example = example.map_err(|problem| problem.to_string())?;
        let last = example.learned.iter().rposition(|learned| *learned);
        let Some(last) = last else { return Err(row::BadRow::NothingToLearn.to_string()) };
        let answer = example.learned[..=last].iter().rposition(|learned| !learned).map_or(0, |before| before + 1);
        let ends = example.ids[answer..=last].iter().any(|id| self.model.special.eos.contains(id));
        let learned = example.ids.iter().zip(&example.learned).filter(|(_, learned)| **learned);
        let text_bytes = learned.map(|(id, _)| self.model.tokenizer.token_bytes(*id).len() as u64).sum();
        Ok(Encoded { example, text_bytes, ends })
    }

    /// A completion is learned with the end behind it.
    fn text(&self, prompt: &str, completion: &str) -> Result<Example, stepwell_models::Problem> {
        let mut example = self.model.tokenizer.encode_completion(prompt, completion)?;
        example.ids.push(self.end);
        example.learned.push(true);
        Ok(example)
    }
}
