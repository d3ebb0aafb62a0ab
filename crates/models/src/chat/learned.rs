//! Marks the answers of the assistant in a rendered conversation, so that a model learns only them.

use stepwell_base::ordered_json::Json;

use super::conversation::{Conversation, GenerationPrompt};
use super::template::{ChatTemplate, Rendered};
use crate::error::Problem;
use crate::tokenizer::LEARNED;

/// Most messages of a conversation that is trained on, if the template is rendered for each answer.
const MOST_MESSAGES: usize = 1000;

impl ChatTemplate {
    /// Renders a conversation for training. Learned are the parts in `{% generation %}`; of a template without it, what
    /// each message of the assistant from number `first` on adds to the conversation before it with the start of an
    /// answer.
    ///
    /// # Errors
    /// Those of [`ChatTemplate::render`], and `Template` when no answer is found: a template may print earlier messages
    /// otherwise once there are later ones.
    pub fn render_learned(&self, conversation: &Conversation<'_>, first: usize) -> Result<Rendered, Problem> {
        let whole = Conversation { prompt: GenerationPrompt::Omit, ..*conversation };
        let rendered = self.render(&whole)?;
        if rendered.marked().contains(LEARNED.0) {
            return Ok(rendered);
        }
        let messages = conversation.messages.items();
        if messages.len() > MOST_MESSAGES {
            let (found, limit) = (messages.len() as u64, MOST_MESSAGES as u64);
            return Err(Problem::TooLarge { what: "the number of messages", found, limit });
        }
        let text = rendered.marked();
        let mut marked = String::with_capacity(text.len() + 16);
        for (number, message) in messages.iter().enumerate().skip(first) {
            if message.get("role").and_then(Json::text) != Some("assistant") {
                continue;
            }
            let part = |count: usize, prompt: GenerationPrompt| {
                let messages = Json::List(messages[..count].to_vec());
                self.render(&Conversation { messages: &messages, prompt, ..*conversation })
            };
            let (before, after) = (part(number, GenerationPrompt::Add)?, part(number + 1, GenerationPrompt::Omit)?);
            let (start, end) = (before.marked().len(), after.marked().len());
            let fits = text.starts_with(after.marked()) && after.marked().starts_with(before.marked());
            if !fits || start >= end {
                return Err(Problem::Template(format!(
                    "what message {} adds is not found in the whole conversation, so the template needs `{{% generation %}}`",
                    number + 1
                )));
            }
            let copied = marked.replace([LEARNED.0, LEARNED.1], "").len();
            marked.push_str(&text[copied..start]);
            marked.push(LEARNED.0);
            marked.push_str(&text[start..end]);
            marked.push(LEARNED.1);
        }
        if marked.is_empty() {
            return Err(Problem::Template("the conversation has no message of the assistant to learn".to_owned()));
        }
        let copied = marked.replace([LEARNED.0, LEARNED.1], "").len();
        marked.push_str(&text[copied..]);
        Ok(Rendered::new(marked))
    }
}
