//! Chat templates: Jinja programs that make one text of messages.

mod conversation;
mod environment;
mod json_filter;
mod template;
mod values;

pub use conversation::{Conversation, GenerationPrompt, parse_tool_arguments};
pub use template::{ChatTemplate, Rendered};
