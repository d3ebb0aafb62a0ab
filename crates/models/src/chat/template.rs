//! Templates of a model, and what they render.

use std::collections::BTreeMap;
use std::io;

use minijinja::{Environment, Value};
use serde_json::{Map, Value as JsonValue};
use stepwell_base::ordered_json::Json;

use crate::error::{Problem, shown};
use crate::source::Fields;
use crate::tokenizer::{Marks, Tokenizer, unmarked};

use super::budget;
use super::conversation::{Conversation, GenerationPrompt, normalised};
use super::environment::environment;
use super::functions::set_now;
use super::open_end;
use super::rewrite::rewrite;
use super::values::{OrderedMap, value};

/// Bytes of a template. The longest known one has 20 KiB.
const SOURCE: usize = 1 << 20;
const MOST_TEMPLATES: usize = 16;
/// Bytes of a rendered text.
const RENDERED: usize = 64 << 20;
/// Name of the only template.
const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";
/// Special tokens that templates know by name.
const TOKENS: [&str; 7] = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

/// The chat templates of a model, compiled.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    sources: BTreeMap<String, String>,
    tokens: BTreeMap<&'static str, String>,
    marks: Marks,
}

/// Text that a template made, which knows which of its special tokens come from the template.
#[derive(Clone, Debug)]
pub struct Rendered {
    marked: String,
}

impl Rendered {
    pub(super) fn new(marked: String) -> Rendered {
        Rendered { marked }
    }

    /// The text, as Python's Jinja renders it.
    pub fn text(&self) -> String {
        unmarked(&self.marked)
    }

    pub(crate) fn marked(&self) -> &str {
        &self.marked
    }
}

impl ChatTemplate {
    /// Reads the template of `chat_template.jinja`, or else of `tokenizer_config.json`, if there is one.
    pub(crate) fn read(
        file: Option<Vec<u8>>,
        config: &Map<String, JsonValue>,
        tokenizer: &Tokenizer,
    ) -> Result<Option<ChatTemplate>, Problem> {
        let fields = Fields::of(config);
        let mut sources = BTreeMap::new();
        match fields.get("chat_template") {
            None => {}
            Some(JsonValue::String(source)) => {
                sources.insert(DEFAULT.to_owned(), source.clone());
            }
            Some(JsonValue::Array(list)) if list.len() <= MOST_TEMPLATES => {
                for entry in list {
                    let text = |name: &str| entry.get(name).and_then(JsonValue::as_str).map(str::to_owned);
                    let (Some(name), Some(source)) = (text("name"), text("template")) else {
                        return Err(fields.problem("chat_template", "has an entry without `name` and `template`"));
                    };
                    sources.insert(name, source);
                }
            }
            Some(_) => return Err(fields.problem("chat_template", "must be text or a short list of named templates")),
        }
        if let Some(file) = file {
            let source = String::from_utf8(file).map_err(|_| Problem::Template("it is not UTF-8".into()))?;
            sources.insert(DEFAULT.to_owned(), source);
        }
        if sources.is_empty() {
            return Ok(None);
        }
        let mut tokens = BTreeMap::new();
        for name in TOKENS {
            let token = match fields.get(name) {
                Some(JsonValue::Object(token)) => token.get("content").and_then(JsonValue::as_str),
                Some(JsonValue::String(token)) => Some(token.as_str()),
                _ => None,
            };
            tokens.extend(token.map(|token| (name, token.to_owned())));
        }
        ChatTemplate::new(sources, tokens, tokenizer.marks().clone()).map(Some)
    }

    /// Compiles one template for a model, instead of its own.
    ///
    /// # Errors
    /// `Template` when it is too long or does not compile.
    pub fn from_source(source: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate, Problem> {
        let sources = BTreeMap::from([(DEFAULT.to_owned(), source.to_owned())]);
        ChatTemplate::new(sources, BTreeMap::new(), tokenizer.marks().clone())
    }

    /// Compiles templates. `tokens` are special tokens by their name in templates, such as `bos_token`.
    ///
    /// # Errors
    /// `Template` for one that is too long or does not compile.
    pub(crate) fn new(
        sources: BTreeMap<String, String>,
        tokens: BTreeMap<&'static str, String>,
        marks: Marks,
    ) -> Result<ChatTemplate, Problem> {
        let failed = |error: minijinja::Error| Problem::Template(message(&error));
        let mut environment = environment().map_err(failed)?;
        for (name, source) in &sources {
            if source.len() > SOURCE {
                let (found, limit) = (source.len() as u64, SOURCE as u64);
                return Err(Problem::TooLarge { what: "the size of the chat template", found, limit });
            }
            environment.add_template_owned(name.clone(), rewrite(source)).map_err(failed)?;
        }
        Ok(ChatTemplate { environment, sources, tokens, marks })
    }

    /// Sources by name; a single template is `default`.
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.sources
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// `Template` with the message of the template, or the limit that it exceeds.
    pub fn render(&self, conversation: &Conversation<'_>) -> Result<Rendered, Problem> {
        let name = self.name(conversation)?;
        let template = self.environment.get_template(name).map_err(|error| Problem::Template(message(&error)))?;
        let tools = conversation.tools.map_or(Value::from(()), |tools| value(tools, &self.marks));
        let mut messages = normalised(conversation.messages);
        let continued = match conversation.prompt {
            GenerationPrompt::Continue => Some(open_end::tag(&mut messages)?),
            GenerationPrompt::Add | GenerationPrompt::Omit => None,
        };
        let mut variables = vec![
            ("messages".to_owned(), value(&messages, &self.marks)),
            ("tools".to_owned(), tools),
            ("documents".to_owned(), Value::from(())),
            ("add_generation_prompt".to_owned(), (conversation.prompt == GenerationPrompt::Add).into()),
        ];
        variables.extend(self.tokens.iter().map(|(name, token)| ((*name).to_owned(), Value::from(token.as_str()))));
        if let Some(Json::Object(fields)) = conversation.variables {
            variables.extend(fields.iter().map(|(name, field)| (name.clone(), value(field, &self.marks))));
        }
        let variables = variables.into_iter().map(|(name, variable)| (Value::from(name), variable));
        let variables = Value::from_object(OrderedMap::from_iter(variables));
        let mut text = Bounded(Vec::new());
        set_now(conversation.now);
        budget::start(conversation.bytes());
        template.render_captured_to(variables, &mut text).map_err(|error| Problem::Template(message(&error)))?;
        let marked = String::from_utf8(text.0).map_err(|_| Problem::Template("it printed bytes".into()))?;
        Ok(Rendered {
            marked: match continued {
                Some(content) => open_end::cut(marked, &content)?,
                None => marked,
            },
        })
    }

    fn name(&self, conversation: &Conversation<'_>) -> Result<&str, Problem> {
        let known = |name: &str| self.sources.get_key_value(name).map(|(name, _)| name.as_str());
        let wanted = match conversation.template {
            Some(name) => known(name),
            None if conversation.tools.is_some() => known(TOOL_USE).or(known(DEFAULT)),
            None => known(DEFAULT),
        };
        let names = || self.sources.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        wanted.ok_or_else(|| {
            let name = conversation.template.unwrap_or(DEFAULT);
            Problem::Template(format!("there is no template `{}`, only {}", shown(name), names()))
        })
    }
}

fn message(error: &minijinja::Error) -> String {
    let detail = error.detail().unwrap_or_default();
    let line = error.line().map_or_else(String::new, |line| format!(", line {line}"));
    if detail.is_empty() { format!("{}{line}", error.kind()) } else { format!("{detail}{line}") }
}

/// Output of a template, up to a limit.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RENDERED {
            return Err(io::Error::other("the text is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
