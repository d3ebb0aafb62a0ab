//! One field per parameter.

use serde_json::{Map, Value};

/// A parameter as a field of the form.
pub struct Field {
    pub name: String,
    /// For labels: a name may have any character.
    pub id: String,
    pub kind: String,
    pub help: String,
    pub value: String,
    pub default: String,
    pub problem: Option<String>,
    pub is_flag: bool,
    pub is_long: bool,
}

/// Fields with a title in common.
pub struct Group {
    pub title: Option<String>,
    pub fields: Vec<Field>,
}

/// The prefix of the names of fields, so that no parameter is taken for something else.
const PREFIX: &str = "p.";
const LONG_CHARACTERS: usize = 48;

/// The fields of a workflow as [`crate::Desk::workflow`] describes it, with what a person has typed.
pub fn groups(workflow: &Value, typed: &[(String, String)]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, param) in workflow["params"].as_array().into_iter().flatten().enumerate() {
        let field = field(index, param, typed);
        let title = param["group"].as_str().map(str::to_owned);
        match groups.last_mut().filter(|group| group.title == title) {
            Some(group) => group.fields.push(field),
            None => groups.push(Group { title, fields: vec![field] }),
        }
    }
    groups
}

fn field(index: usize, param: &Value, typed: &[(String, String)]) -> Field {
    let name = param["name"].as_str().unwrap_or_default().to_owned();
    let kind = param["type"].as_str().unwrap_or_default().to_owned();
    let default = text(&param["default"]);
    let value =
        typed.iter().find(|(known, _)| known.strip_prefix(PREFIX) == Some(&name)).map(|(_, value)| value.clone());
    let value = value.unwrap_or_else(|| default.clone());
    Field {
        id: format!("param-{index}"),
        help: param["comment"].as_str().unwrap_or_default().to_owned(),
        is_flag: kind == "true/false",
        is_long: matches!(kind.as_str(), "list" | "table")
            || value.contains('\n')
            || value.chars().count() > LONG_CHARACTERS,
        problem: None,
        name,
        kind,
        value,
        default,
    }
}

/// What was typed and differs from the defaults.
pub fn changed(workflow: &Value, typed: &[(String, String)]) -> Map<String, Value> {
    let params = workflow["params"].as_array().into_iter().flatten();
    let changed = params.filter_map(|param| {
        let name = param["name"].as_str()?;
        let (_, value) = typed.iter().find(|(known, _)| known.strip_prefix(PREFIX) == Some(name))?;
        let value = value.replace("\r\n", "\n");
        (value.trim() != text(&param["default"]).trim()).then(|| (name.to_owned(), Value::String(value)))
    });
    changed.collect()
}

/// Puts messages that name a parameter at its field; returns the others.
pub fn place(groups: &mut [Group], messages: Vec<String>) -> Vec<String> {
    let mut others = Vec::new();
    for message in messages {
        let fields = groups.iter_mut().flat_map(|group| &mut group.fields);
        let mut named = fields.filter(|field| {
            [format!("`{}`", field.name), format!("`params.{}`", field.name), format!("params.{}", field.name)]
                .iter()
                .any(|name| message.contains(name.as_str()))
        });
        match named.next() {
            Some(field) => field.problem = Some(message),
            None => others.push(message),
        }
    }
    others
}

/// A value in the words that `-S` takes: text as it is, everything else as TOML.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => toml(other),
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, entry)| format!("{key} = {}", toml(entry))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workflow() -> Value {
        json!({ "params": [
            { "name": "corpus", "default": "a.txt", "type": "text", "comment": "Where.", "group": null },
            { "name": "lr", "default": 0.001, "type": "number", "comment": "", "group": "Training" },
            { "name": "layers", "default": [1, 2], "type": "list", "comment": "", "group": "Training" },
        ] })
    }

    fn typed(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_has_the_groups_of_the_file() {
        let groups = groups(&workflow(), &typed(&[("p.lr", "0.1")]));
        let shown = groups.iter().map(|group| {
            let fields = group.fields.iter().map(|field| format!("{}={}", field.name, field.value));
            format!("{:?}: {}", group.title, fields.collect::<Vec<_>>().join(" "))
        });
        assert_eq!(shown.collect::<Vec<_>>(), ["None: corpus=a.txt", "Some(\"Training\"): lr=0.1 layers=[1, 2]"]);
    }

    #[test]
    fn only_what_differs_is_sent() {
        let found = changed(
            &workflow(),
            &typed(&[("p.corpus", "a.txt"), ("p.lr", "0.1"), ("p.layers", "[1, 2]"), ("name", "x")]),
        );
        assert_eq!(Value::Object(found), json!({ "lr": "0.1" }));
    }

    #[test]
    fn a_message_stands_at_the_field_that_it_names() {
        let mut groups = groups(&workflow(), &[]);
        let others = place(&mut groups, vec!["param `lr` is no number".to_owned(), "no disk".to_owned()]);
        assert_eq!(others, ["no disk"]);
        assert_eq!(groups[1].fields[0].problem.as_deref(), Some("param `lr` is no number"));
    }
}
