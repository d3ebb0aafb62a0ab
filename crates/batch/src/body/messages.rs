//! The conversation of a chat request, reduced to what a chat template takes.

use serde_json::{Map, Value};

use super::fields::{self, bounded, missing, quoted, wrong_type};
use crate::error::{Code, RowError};

/// Most messages of a conversation.
pub const MOST_MESSAGES: usize = 4096;
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Checks messages and joins the text parts of each, as most templates expect text.
///
/// # Errors
/// Names the message and the field.
pub(super) fn messages(items: Vec<Value>) -> Result<Vec<Value>, RowError> {
    if items.is_empty() {
        return Err(RowError::about("messages", Code::InvalidValue, "`messages` is empty"));
    }
    items.into_iter().enumerate().map(|(index, item)| message(index, item)).collect()
}

fn message(index: usize, item: Value) -> Result<Value, RowError> {
    let name = |field: &str| format!("messages[{index}].{field}");
    let Value::Object(mut message) = item else {
        return Err(wrong_type(&format!("messages[{index}]"), "an object", &item));
    };
    let role = match message.get("role") {
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => role.clone(),
        Some(other) => {
            let message = format!("`{}` is {}, it must be one of {}", name("role"), quoted(other), ROLES.join(", "));
            return Err(RowError::about(name("role"), Code::InvalidValue, message));
        }
        None => return Err(missing(&name("role"))),
    };
    let content = match message.remove("content") {
        Some(Value::String(text)) => Value::String(text),
        Some(Value::Array(parts)) => Value::String(joined(&name("content"), parts)?),
        None | Some(Value::Null) if role == "assistant" => Value::Null,
        None | Some(Value::Null) => return Err(missing(&name("content"))),
        Some(other) => return Err(wrong_type(&name("content"), "a string or a list of parts", &other)),
    };
    for field in message.keys() {
        let known = matches!(
            field.as_str(),
            "role" | "name" | "tool_calls" | "tool_call_id" | "reasoning_content" | "reasoning" | "refusal"
        );
        if !known {
            let message = format!("unknown parameter `{}`", bounded(&name(field)));
            return Err(RowError::about(bounded(&name(field)), Code::UnknownParameter, message));
        }
    }
    message.retain(|_, value| !value.is_null());
    // A template tells a missing answer from an empty one only if it asks for `none`.
    message.insert("content".to_owned(), content);
    Ok(Value::Object(message))
}

fn joined(name: &str, parts: Vec<Value>) -> Result<String, RowError> {
    let mut texts = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        let name = format!("{name}[{index}]");
        let Value::Object(mut part) = part else { return Err(wrong_type(&name, "an object", &part)) };
        match part.remove("type") {
            Some(Value::String(kind)) if kind == "text" => {}
            Some(kind) => {
                let message = format!("`{name}.type` is {}: this server reads text only", quoted(&kind));
                return Err(RowError::about(format!("{name}.type"), Code::UnsupportedParameter, message));
            }
            None => return Err(missing(&format!("{name}.type"))),
        }
        let text = part.remove("text").ok_or_else(|| missing(&format!("{name}.text")))?;
        texts.push(fields::text(&format!("{name}.text"), text, usize::MAX)?);
    }
    Ok(texts.join("\n"))
}

/// Definitions of tools, which the template shows to the model.
pub(super) fn tools(items: Option<Vec<Value>>) -> Result<Option<Value>, RowError> {
    let Some(items) = items.filter(|items| !items.is_empty()) else { return Ok(None) };
    for (index, item) in items.iter().enumerate() {
        let function = item.as_object().and_then(|tool: &Map<String, Value>| tool.get("function"));
        if !function.is_some_and(Value::is_object) {
            return Err(missing(&format!("tools[{index}].function")));
        }
    }
    Ok(Some(Value::Array(items)))
}
