//! What a template renders.

use stepwell_base::ordered_json::Json;

/// Input of a template.
#[derive(Clone, Copy, Debug)]
pub struct Conversation<'a> {
    /// List of objects with `role` and `content`.
    pub messages: &'a Json,
    /// List of JSON schemas of functions.
    pub tools: Option<&'a Json>,
    /// Further variables of the template, an object, such as `{"enable_thinking": false}`.
    pub variables: Option<&'a Json>,
    pub prompt: GenerationPrompt,
    /// Name of one of several templates; without it `tool_use` if there are tools, else `default`.
    pub template: Option<&'a str>,
    /// Seconds since 1970 for templates that print the date, in UTC. A batch passes the time of its creation, so that
    /// a row that is rendered again has the same text.
    pub now: i64,
}

impl<'a> Conversation<'a> {
    pub fn new(messages: &'a Json, now: i64) -> Self {
        Conversation { messages, tools: None, variables: None, prompt: GenerationPrompt::Add, template: None, now }
    }

    /// Bytes of the input, roughly.
    pub(super) fn bytes(&self) -> usize {
        [Some(self.messages), self.tools, self.variables].into_iter().flatten().map(bytes).sum()
    }
}

/// Says how a rendered text ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GenerationPrompt {
    /// With the start of an answer.
    Add,
    Omit,
    /// In the middle of the last message, which the model continues.
    Continue,
}

fn bytes(json: &Json) -> usize {
    match json {
        Json::Text(text) => text.len(),
        Json::List(items) => items.iter().map(|item| bytes(item) + 8).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() + bytes(value) + 8).sum(),
        _ => 8,
    }
}

/// Names under which the reasoning of an answer comes; the first is that of templates.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Messages as `transformers` hands them to a template: without fields that are null, and with the reasoning under
/// every name.
pub(super) fn normalised(messages: &Json) -> Json {
    let message = |message: &Json| match message {
        Json::Object(fields) => {
            let mut fields: Vec<(String, Json)> =
                fields.iter().filter(|(_, value)| *value != Json::Null).cloned().collect();
            let find = |fields: &[(String, Json)], name: &str| fields.iter().position(|(key, _)| key == name);
            let reasoning = REASONING.iter().find_map(|name| find(&fields, name)).map(|place| fields[place].1.clone());
            if let Some(reasoning) = reasoning {
                if find(&fields, "thinking").is_none() {
                    fields.insert(0, ("thinking".into(), reasoning.clone()));
                }
                match find(&fields, "reasoning_content") {
                    Some(place) => fields[place].1 = reasoning,
                    None => fields.push(("reasoning_content".into(), reasoning)),
                }
            }
            Json::Object(fields)
        }
        other => other.clone(),
    };
    match messages {
        Json::List(items) => Json::List(items.iter().map(message).collect()),
        other => other.clone(),
    }
}

/// Turns the `arguments` of tool calls from text into objects: the OpenAI API sends text, templates print objects.
/// Text that is not an object stays.
pub fn parse_tool_arguments(messages: &mut Json) {
    let Json::List(messages) = messages else { return };
    let calls = messages.iter_mut().filter_map(|message| field(message, "tool_calls"));
    let calls = calls.filter_map(|calls| if let Json::List(calls) = calls { Some(calls) } else { None });
    for call in calls.flatten() {
        let Some(arguments) = field(call, "function").and_then(|function| field(function, "arguments")) else {
            continue;
        };
        let parsed = arguments.text().and_then(|text| serde_json::from_str(text).ok());
        if let Some(object @ Json::Object(_)) = parsed {
            *arguments = object;
        }
    }
}

fn field<'j>(json: &'j mut Json, name: &str) -> Option<&'j mut Json> {
    match json {
        Json::Object(fields) => fields.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}
