//! One request: what to continue, and how.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use stepwell_base::ordered_json::Json;

use super::fields::{Fields, missing, text, wrong_type};
use super::messages::{MOST_MESSAGES, messages, tools};
use super::options::{MOST_CHOICES, MOST_LOGPROBS, MOST_TOKENS, Options, token_ids};
use crate::error::{Code, RowError};

/// Most prompts in one request, and completions of all of them together.
pub const MOST_PROMPTS: usize = 128;
/// Longest name of a model.
const LONGEST_MODEL: usize = 1024;
/// Most tools and most ids of a prompt of token ids.
const MOST_TOOLS: usize = 256;
const MOST_PROMPT_IDS: usize = 1 << 20;

/// The request of a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Endpoint {
    #[serde(rename = "/v1/chat/completions")]
    ChatCompletions,
    #[serde(rename = "/v1/completions")]
    Completions,
}

impl Endpoint {
    pub const ALL: [Endpoint; 2] = [Endpoint::ChatCompletions, Endpoint::Completions];

    pub fn as_str(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "/v1/chat/completions",
            Endpoint::Completions => "/v1/completions",
        }
    }

    pub fn find(url: &str) -> Option<Endpoint> {
        Endpoint::ALL.into_iter().find(|endpoint| endpoint.as_str() == url)
    }
}

/// The body of a request, complete and within bounds.
#[derive(Clone, PartialEq, Debug)]
pub struct Body {
    pub endpoint: Endpoint,
    pub model: String,
    pub prompt: Prompt,
    pub options: Options,
    /// The body as it was sent, if the order of its keys counts.
    pub ordered: Option<Json>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Prompt {
    /// A conversation for the model's chat template.
    Chat {
        messages: Vec<Value>,
        tools: Option<Value>,
        template_kwargs: Map<String, Value>,
        add_generation_prompt: bool,
        continue_final_message: bool,
    },
    /// Texts to continue.
    Texts { texts: Vec<String>, echo: bool },
    /// Token ids to continue.
    Tokens { ids: Vec<Vec<u32>>, echo: bool },
}

impl Prompt {
    /// Number of prompts.
    pub fn count(&self) -> usize {
        match self {
            Prompt::Chat { .. } => 1,
            Prompt::Texts { texts, .. } => texts.len(),
            Prompt::Tokens { ids, .. } => ids.len(),
        }
    }
}

impl Body {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// The first field that is missing, unknown, of a wrong type or out of its bounds.
    pub fn parse(endpoint: Endpoint, body: Map<String, Value>) -> Result<Body, RowError> {
        let mut fields = Fields::new(body);
        let model = fields.text("model", LONGEST_MODEL)?.ok_or_else(|| missing("model"))?;
        let mut options = Options::take(&mut fields)?;
        let prompt = match endpoint {
            Endpoint::ChatCompletions => chat(&mut fields, &mut options)?,
            Endpoint::Completions => completion(&mut fields, &mut options)?,
        };
        fields.finish()?;
        let choices = prompt.count().saturating_mul(options.n as usize);
        if choices > MOST_PROMPTS {
            let message = format!("the request asks for {choices} completions, at most {MOST_PROMPTS} are allowed");
            return Err(RowError::about("n", Code::InvalidValue, message));
        }
        Ok(Body { endpoint, model, prompt, options, ordered: None })
    }

    /// The same request with the order of keys that tools and their calls were sent with.
    #[must_use]
    pub fn in_order(self, ordered: Option<Json>) -> Body {
        Body { ordered, ..self }
    }

    /// Number of completions that the answer has.
    pub fn choices(&self) -> usize {
        self.prompt.count() * self.options.n as usize
    }
}

fn chat(fields: &mut Fields, options: &mut Options) -> Result<Prompt, RowError> {
    let legacy = fields.integer("max_tokens", 1..=MOST_TOKENS)?;
    let limit = fields.integer("max_completion_tokens", 1..=MOST_TOKENS)?.or(legacy);
    options.max_tokens = limit.map(|tokens| tokens as u32);
    let wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0..=MOST_LOGPROBS)?;
    if top.is_some_and(|top| top > 0) && !wanted {
        let message = "`top_logprobs` needs `logprobs` = true";
        return Err(RowError::about("top_logprobs", Code::InvalidValue, message));
    }
    options.logprobs = wanted.then(|| top.unwrap_or(0) as u32);
    let items = fields.list("messages", MOST_MESSAGES)?.ok_or_else(|| missing("messages"))?;
    let prompt = Prompt::Chat {
        messages: messages(items)?,
        tools: tools(fields.list("tools", MOST_TOOLS)?)?,
        template_kwargs: fields.object("chat_template_kwargs")?.unwrap_or_default(),
        add_generation_prompt: fields.flag("add_generation_prompt")?.unwrap_or(true),
        continue_final_message: fields.flag("continue_final_message")?.unwrap_or(false),
    };
    if let Prompt::Chat { add_generation_prompt: true, continue_final_message: true, .. } = prompt {
        let message = "`continue_final_message` needs `add_generation_prompt` = false";
        return Err(RowError::about("continue_final_message", Code::InvalidValue, message));
    }
    fields.only("tool_choice", &[json!("auto"), json!("none")])?;
    fields.only("parallel_tool_calls", &[json!(true), json!(false)])?;
    fields.only("modalities", &[json!(["text"])])?;
    fields.only("echo", &[json!(false)])?;
    Ok(prompt)
}

fn completion(fields: &mut Fields, options: &mut Options) -> Result<Prompt, RowError> {
    let limit = fields.integer("max_tokens", 0..=MOST_TOKENS)?;
    // The default of the API, unlike that of chats.
    options.max_tokens = Some(limit.map_or(16, |tokens| tokens as u32));
    options.logprobs = fields.integer("logprobs", 0..=MOST_LOGPROBS)?.map(|top| top as u32);
    let asked = fields.list("logprob_token_ids", MOST_LOGPROBS as usize)?;
    options.logprob_token_ids = token_ids("logprob_token_ids", asked)?;
    if options.logprobs.is_none() && !options.logprob_token_ids.is_empty() {
        let message = "`logprob_token_ids` needs `logprobs`";
        return Err(RowError::about("logprob_token_ids", Code::InvalidValue, message));
    }
    let echo = fields.flag("echo")?.unwrap_or(false);
    if options.max_tokens == Some(0) && !echo {
        let message = "`max_tokens` is 0, which needs `echo` = true";
        return Err(RowError::about("max_tokens", Code::InvalidValue, message));
    }
    let best = fields.integer("best_of", 1..=MOST_CHOICES)?;
    if best.is_some_and(|best| best != i64::from(options.n)) {
        let message = "`best_of` is not supported unless it equals `n`";
        return Err(RowError::about("best_of", Code::UnsupportedParameter, message));
    }
    fields.only("suffix", &[json!("")])?;
    let prompt = fields.take("prompt").ok_or_else(|| missing("prompt"))?;
    prompts(prompt, echo)
}

fn prompts(prompt: Value, echo: bool) -> Result<Prompt, RowError> {
    let one_text = |value| text("prompt", value, usize::MAX);
    let items = match prompt {
        Value::String(text) => return Ok(Prompt::Texts { texts: vec![text], echo }),
        Value::Array(items) if items.is_empty() => {
            return Err(RowError::about("prompt", Code::InvalidValue, "`prompt` is an empty list"));
        }
        Value::Array(items) => items,
        other => return Err(wrong_type("prompt", "a string, a list of strings, or token ids", &other)),
    };
    let many = |count: usize, most: usize, what: &str| {
        let message = format!("`prompt` has {count} {what}, at most {most} are allowed");
        (count > most).then(|| RowError::about("prompt", Code::InvalidValue, message)).map_or(Ok(()), Err)
    };
    match &items[0] {
        Value::String(_) => {
            many(items.len(), MOST_PROMPTS, "texts")?;
            let texts = items.into_iter().map(one_text).collect::<Result<_, _>>()?;
            Ok(Prompt::Texts { texts, echo })
        }
        Value::Number(_) => {
            many(items.len(), MOST_PROMPT_IDS, "token ids")?;
            Ok(Prompt::Tokens { ids: vec![token_ids("prompt", Some(items))?], echo })
        }
        Value::Array(_) => {
            many(items.len(), MOST_PROMPTS, "prompts")?;
            let one = |item| match item {
                Value::Array(ids) if ids.is_empty() => {
                    Err(RowError::about("prompt", Code::InvalidValue, "`prompt` has an empty list"))
                }
                Value::Array(ids) => {
                    many(ids.len(), MOST_PROMPT_IDS, "token ids")?;
                    token_ids("prompt", Some(ids))
                }
                other => Err(wrong_type("prompt", "a list of token ids", &other)),
            };
            Ok(Prompt::Tokens { ids: items.into_iter().map(one).collect::<Result<_, _>>()?, echo })
        }
        other => Err(wrong_type("prompt", "a string, a list of strings, or token ids", other)),
    }
}
