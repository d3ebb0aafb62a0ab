//! Makes token ids of what a request asks.

use serde_json::Value;

use stepwell_base::ordered_json::Json;
use stepwell_batch::body::{Body, Prompt};
use stepwell_batch::{Code, RowError};
use stepwell_models::{ChatTemplate, Conversation, GenerationPrompt, Problem, Tokenizer, parse_tool_arguments};

pub(super) struct Prompts<'m> {
    tokenizer: &'m Tokenizer,
    template: Option<&'m ChatTemplate>,
    context: usize,
    /// Time for templates that print the date.
    now: i64,
}

/// A prompt in tokens, and its text if that starts the answer.
pub(super) struct Encoded {
    pub ids: Vec<u32>,
    pub echo: Option<String>,
}

impl<'m> Prompts<'m> {
    pub(super) fn new(
        tokenizer: &'m Tokenizer,
        template: Option<&'m ChatTemplate>,
        context: usize,
        now: i64,
    ) -> Prompts<'m> {
        Prompts { tokenizer, template, context, now }
    }

    /// The prompts of a request, in its order.
    ///
    /// # Errors
    /// When the template refuses the conversation, or a prompt leaves no room for an answer.
    pub(super) fn of(&self, body: &Body) -> Result<Vec<Encoded>, RowError> {
        let prompt = &body.prompt;
        let encoded = match prompt {
            Prompt::Chat { .. } => vec![Encoded { ids: self.chat(body)?, echo: None }],
            Prompt::Texts { texts, echo } => {
                let one = |text: &String| {
                    let ids = self.tokenizer.encode_text(text).map_err(|error| wrong("prompt", &error))?;
                    Ok(Encoded { ids, echo: echo.then(|| text.clone()) })
                };
                texts.iter().map(one).collect::<Result<_, RowError>>()?
            }
            Prompt::Tokens { ids, echo } => {
                let one = |ids: &Vec<u32>| {
                    let text = echo.then(|| self.tokenizer.decode(ids)).transpose();
                    Ok(Encoded { ids: ids.clone(), echo: text.map_err(|error| wrong("prompt", &error))? })
                };
                ids.iter().map(one).collect::<Result<_, RowError>>()?
            }
        };
        let param = if matches!(prompt, Prompt::Chat { .. }) { "messages" } else { "prompt" };
        match encoded.iter().find(|prompt| prompt.ids.len() >= self.context) {
            None => Ok(encoded),
            Some(long) => {
                let message = format!(
                    "This model's maximum context length is {} tokens. The prompt has {} tokens, and the answer needs one.",
                    self.context,
                    long.ids.len()
                );
                Err(RowError::about(param, Code::ContextLengthExceeded, message))
            }
        }
    }

    fn chat(&self, body: &Body) -> Result<Vec<u32>, RowError> {
        let Prompt::Chat { messages, tools, template_kwargs, add_generation_prompt, continue_final_message } =
            &body.prompt
        else {
            return Ok(Vec::new());
        };
        let Some(template) = self.template else {
            let message = "This model has no chat template; use /v1/completions.";
            return Err(RowError::new(Code::UnsupportedParameter, message));
        };
        let sent = |field: &str| body.ordered.as_ref().and_then(|ordered| ordered.get(field));
        let mut messages = Json::from(Value::Array(messages.clone()));
        if let Some(sent) = sent("messages") {
            take_tool_calls(&mut messages, sent);
        }
        parse_tool_arguments(&mut messages);
        let tools = tools.clone().map(|tools| sent("tools").cloned().unwrap_or_else(|| Json::from(tools)));
        let variables = Json::from(Value::Object(template_kwargs.clone()));
        let variables = sent("chat_template_kwargs").cloned().unwrap_or(variables);
        let conversation = Conversation {
            tools: tools.as_ref(),
            variables: (!template_kwargs.is_empty()).then_some(&variables),
            prompt: match (continue_final_message, add_generation_prompt) {
                (true, _) => GenerationPrompt::Continue,
                (false, true) => GenerationPrompt::Add,
                (false, false) => GenerationPrompt::Omit,
            },
            ..Conversation::new(&messages, self.now)
        };
        let rendered = template.render(&conversation).map_err(|error| wrong("messages", &error))?;
        self.tokenizer.encode_rendered(&rendered).map_err(|error| wrong("messages", &error))
    }
}

/// Gives the calls of tools the order of keys that they were sent with.
fn take_tool_calls(messages: &mut Json, sent: &Json) {
    let Json::List(messages) = messages else { return };
    for (message, sent) in messages.iter_mut().zip(sent.items()) {
        let (Json::Object(fields), Some(calls)) = (message, sent.get("tool_calls")) else { continue };
        for (_, value) in fields.iter_mut().filter(|(name, _)| name == "tool_calls") {
            *value = calls.clone();
        }
    }
}

fn wrong(param: &str, problem: &Problem) -> RowError {
    RowError::about(param, Code::InvalidValue, format!("`{param}` cannot be read by this model: {problem}"))
}
