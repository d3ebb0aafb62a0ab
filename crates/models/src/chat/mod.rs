//! Chat templates: Jinja programs that make one text of messages.

mod budget;
mod conversation;
mod environment;
mod functions;
mod guards;
mod json_filter;
mod learned;
mod open_end;
mod rewrite;
mod template;
mod values;

pub use conversation::{Conversation, GenerationPrompt, parse_tool_arguments};
pub use template::{ChatTemplate, Rendered};
