//! Texts that schemas allow, against a validator that is written in the simplest way.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use stepwell_base::ordered_json::Json;

use super::*;

fn grammar(schema: &str) -> Result<Grammar, SchemaError> {
    Grammar::of(&serde_json::from_str::<Json>(schema).unwrap(), "schema")
}

fn start(schema: &str) -> SchemaState {
    SchemaState::new(Arc::new(grammar(schema).unwrap()))
}

/// True if the text is complete, false if it is a start, `None` if it is neither.
fn complete(state: &SchemaState, text: &str) -> Option<bool> {
    state.after(text.as_bytes()).map(|state| state.is_complete())
}

const PERSON: &str = r##"{
    "type": "object", "title": "Person", "additionalProperties": false,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null},
        "kind": {"enum": ["a", "ab", 1, 12, 1.5]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
        "friend": {"$ref": "#"}
    },
    "required": ["name", "kind"]
}"##;

#[test]
fn objects_that_meet_their_schema_are_complete_at_their_end() {
    let person = start(PERSON);
    for text in [
        r#"{"name":"x","kind":"a"}"#,
        r#"{ "name" : "é\n\u00e9" , "kind" : 12 }"#,
        r#"{"name":"abcde","age":-7,"kind":"ab","tags":[true,false],"friend":{"name":"y","age":null,"kind":1.5}}"#,
    ] {
        assert_eq!(complete(&person, text), Some(true), "{text}");
        for (end, _) in text.char_indices().skip(1) {
            assert_eq!(complete(&person, &text[..end]), Some(false), "{text} at {end}");
        }
    }
    for text in [
        r#"{}"#,
        r#"["#,
        r#"{"kind""#,
        r#"{"name":"""#,
        r#"{"name":"abcdef"#,
        r#"{"name":"x"}"#,
        r#"{"name":"x","age":1."#,
        r#"{"name":"x","age":1e"#,
        r#"{"name":"x","age":tr"#,
        r#"{"name":"x","kind":"b"#,
        r#"{"name":"x","kind":2"#,
        r#"{"name":"x","kind":1,"tags":[]"#,
        r#"{"name":"x","kind":1,"tags":[true,true,"#,
        r#"{"name":"x","kind":1,"age""#,
        r#"{"name":"x","kind":1,}"#,
        r#"{"name":"x","kind":1,"other""#,
        r#"{"name":"x","kind":1} x"#,
    ] {
        assert_eq!(complete(&person, text), None, "{text}");
    }
}

#[test]
fn parts_of_schemas_mean_what_the_standard_says() {
    let holds = |schema: &str, text: &str| complete(&start(schema), text) == Some(true);
    let with = |value: &str| format!(r#"{{"properties": {{"v": {value}}}, "required": ["v"]}}"#);
    for (schema, good, bad) in [
        (r#"{"type": ["string", "null"]}"#, r#"{"v":null}"#, r#"{"v":1}"#),
        (r#"{"const": {"a": [1, "x"]}}"#, r#"{"v":{"a":[1,"x"]}}"#, r#"{"v":{"a":[1]}}"#),
        (r#"{"type": "integer", "enum": [1, "1", 2]}"#, r#"{"v":2}"#, r#"{"v":"1"}"#),
        (r#"{"type": "number"}"#, r#"{"v":-1.5E+3}"#, r#"{"v":01}"#),
        (r#"{"type": "object"}"#, r#"{"v":{"x":[{}],"y":1}}"#, r#"{"v":[]}"#),
        (r#"{"additionalProperties": {"type": "integer"}}"#, r#"{"v":{"x":1,"y":2}}"#, r#"{"v":{"x":"1"}}"#),
        (r#"{"type": "object", "additionalProperties": false}"#, r#"{"v":{ }}"#, r#"{"v":{"x":1}}"#),
        (r#"{"items": {}}"#, r#"{"v":[1,[null],{"a":""}]}"#, r#"{"v":{}}"#),
        (r#"{}"#, r#"{"v":[1,"a",{"b":[]}]}"#, r#"{"v":}"#),
        (r#"{"required": ["a"]}"#, r#"{"v":{"a":false}}"#, r#"{"v":{}}"#),
        (r#"{"enum": ["\"q\"", "ü"]}"#, r#"{"v":"\"q\""}"#, r#"{"v":"q"}"#),
    ] {
        assert!(holds(&with(schema), good), "{schema} {good}");
        assert!(!holds(&with(schema), bad), "{schema} {bad}");
    }
    let tree = r##"{"$ref": "#/$defs/n~1ode", "$defs": {"n/ode": {"type": "object", "properties": {
        "left": {"anyOf": [{"$ref": "#/$defs/n~1ode"}, {"type": "null"}]}}, "required": ["left"]}}}"##;
    assert!(holds(tree, r#"{"left":{"left":{"left":null}}}"#));
    let deep = |depth: usize| format!("{}null{}", r#"{"left":"#.repeat(depth), "}".repeat(depth));
    assert_eq!([64, 65].map(|depth| holds(tree, &deep(depth))), [true, false]);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let refused = |schema: &str| grammar(schema).map_err(|error| error.to_string()).unwrap_err();
    let within = |value: &str| refused(&format!(r#"{{"properties": {{"v": {value}}}}}"#));
    for (schema, message) in [
        (r#"{"pattern": "a"}"#, "`schema.properties.v.pattern` is not supported"),
        (r#"{"type": "string", "format": "date"}"#, "`schema.properties.v.format` is not supported"),
        (r#"{"type": "integer", "minimum": 1}"#, "`schema.properties.v.minimum` is not supported"),
        (r#"{"anyOf": [{"oneOf": []}]}"#, "`schema.properties.v.anyOf[0].oneOf` is not supported"),
        (r#"{"anyOf": []}"#, "`schema.properties.v.anyOf` must be a list of schemas"),
        (r#"{"anyOf": [{}], "type": "null"}"#, "`schema.properties.v.type` is not supported beside `anyOf`"),
        (r#"{"$ref": "other.json"}"#, "`schema.properties.v.$ref` must be `#` or start with `#/`"),
        (r##"{"$ref": "#/$defs/none"}"##, "`schema.properties.v.$ref` points to nothing"),
        (r#"{"type": "text"}"#, "`schema.properties.v.type` must be null, boolean, integer"),
        (r#"{"items": {}, "properties": {}}"#, "`schema.properties.v.type` is missing"),
        (r#"{"enum": []}"#, "`schema.properties.v.enum` must be a list of 1 to 1024 values"),
        (r#"{"type": "null", "const": 1}"#, "`schema.properties.v.type` has none of the values"),
        (r#"{"minItems": 2, "maxItems": 1}"#, "`schema.properties.v.minItems` is more than `maxItems`"),
        (r#"{"maxLength": -1}"#, "`schema.properties.v.maxLength` must be a whole number"),
        (r#"{"required": "a"}"#, "`schema.properties.v.required` must be a list of names"),
        (r#"{"required": ["a"], "additionalProperties": false}"#, "`schema.properties.v.required` names a member"),
        ("false", "`schema.properties.v` must be a schema"),
    ] {
        let found = within(schema);
        assert!(found.starts_with(message), "{schema}: {found}");
    }
    for (schema, message) in [
        (r#"{"type": "string"}"#, "`schema` must be that of an object"),
        (r#"{}"#, "`schema` must be that of an object"),
        (r##"{"$ref": "#"}"##, "`schema` has a `$ref` that leads back to itself"),
        (r##"{"anyOf": [{"type": "object"}, {"$ref": "#"}]}"##, "`schema` has a `$ref` that leads back"),
        (r##"{"properties": {"a": {"$ref": "#"}}, "required": ["a"]}"##, "`schema` allows no finite value"),
    ] {
        let found = refused(schema);
        assert!(found.starts_with(message), "{schema}: {found}");
    }
}

#[test]
fn large_schemas_are_refused_quickly() {
    let refused = |schema: Value| Grammar::of(&Json::from(schema), "schema").unwrap_err().problem;
    let mut nested = json!({ "type": "object" });
    for _ in 0..100 {
        nested = json!({ "properties": { "a": nested } });
    }
    assert!(refused(nested).starts_with("is nested too deeply"));
    let many: serde_json::Map<String, Value> = (0..129).map(|index| (format!("m{index}"), json!({}))).collect();
    assert!(refused(json!({ "properties": many })).starts_with("has more than 128 members"));
    let long: Vec<String> = (0..100).map(|index| format!("{index:01000}")).collect();
    assert!(refused(json!({ "properties": { "a": { "enum": long } } })).contains("more than 65536 bytes"));
    let wide: Vec<Value> = (0..65).map(|index| json!({ "type": "string", "maxLength": index })).collect();
    assert!(refused(json!({ "properties": { "a": { "anyOf": wide } } })).contains("65 alternatives"));
    let parts = json!({ "anyOf": vec![json!({ "items": { "items": { "type": "null" } } }); 1500] });
    assert!(refused(json!({ "properties": { "a": parts } })).starts_with("has too many parts"));
    // Each definition names the next one twice: two to the power of 28 ways to the same value.
    let next = |index: usize| json!({ "$ref": format!("#/$defs/d{}", index + 1) });
    let mut definitions: serde_json::Map<String, Value> =
        (0..28).map(|index| (format!("d{index}"), json!({ "anyOf": [next(index), next(index)] }))).collect();
    definitions.insert("d28".into(), json!({ "type": "null" }));
    let doubled = json!({ "$defs": definitions, "properties": { "a": { "$ref": "#/$defs/d0" } }, "required": ["a"] });
    let state = SchemaState::new(Arc::new(Grammar::of(&Json::from(doubled), "schema").unwrap()));
    assert_eq!(complete(&state, r#"{"a":null}"#), Some(true));
}

/// The subset of JSON schema that is supported.
fn meets(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        return meets(root, root.pointer(&reference[1..]).unwrap(), value);
    }
    if let Some(all) = schema["anyOf"].as_array() {
        return all.iter().any(|one| meets(root, one, value));
    }
    let is = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        _ => value.is_object(),
    };
    let typed = match &schema["type"] {
        Value::Null => true,
        Value::Array(all) => all.iter().any(is),
        one => is(one),
    };
    let listed = schema["enum"].as_array().is_none_or(|all| all.contains(value));
    let within = |least: &str, most: &str, length: usize| {
        let bound = |name: &str, absent| schema[name].as_u64().unwrap_or(absent);
        (bound(least, 0)..=bound(most, u64::MAX)).contains(&(length as u64))
    };
    typed
        && listed
        && match value {
            Value::String(text) => within("minLength", "maxLength", text.chars().count()),
            Value::Array(items) => {
                within("minItems", "maxItems", items.len())
                    && items.iter().all(|item| schema["items"].is_null() || meets(root, &schema["items"], item))
            }
            Value::Object(members) => {
                let none = serde_json::Map::new();
                let properties = schema["properties"].as_object().unwrap_or(&none);
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                required.iter().all(|name| members.contains_key(name.as_str().unwrap()))
                    && members.iter().all(|(name, value)| {
                        match (properties.get(name), &schema["additionalProperties"]) {
                            (Some(schema), _) => meets(root, schema, value),
                            (None, Value::Bool(false)) => false,
                            (None, Value::Object(_)) => meets(root, &schema["additionalProperties"], value),
                            _ => true,
                        }
                    })
            }
            _ => true,
        }
}

fn schemas() -> Vec<Value> {
    vec![
        serde_json::from_str(PERSON).unwrap(),
        json!({ "type": "object", "properties": { "a": { "anyOf": [
            { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] },
            { "type": "object", "properties": { "a": { "type": "string", "maxLength": 2 }, "b": { "type": "null" } } },
            { "type": "array", "items": { "enum": [1, 11, "a", null] } } ] } }, "required": ["a"] }),
        json!({ "type": "object", "additionalProperties": { "type": "array", "items": { "type": "number" }, "maxItems": 2 } }),
        json!({ "anyOf": [
            { "type": "object", "properties": { "kind": { "enum": ["a"] }, "x": { "type": "integer" } }, "required": ["kind"] },
            { "type": "object", "properties": { "kind": { "enum": ["ab"] }, "a": {} }, "required": ["kind", "a"] } ] }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is accepted as complete meets the schema for another validator, too, and no start is a dead end.
    #[test]
    fn a_complete_text_meets_its_schema(
        which in 0..4usize,
        words in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "\"a\"", "a", "b", "name", "\"kind\":", "age", "x", "1", "-0", ".5", "e-7",
            "true", "false", "null", " ", "ü", "\\n", "\\u00e9",
        ]), 0..200),
    ) {
        let schema = &schemas()[which];
        let mut state = SchemaState::new(Arc::new(Grammar::of(&Json::from(schema.clone()), "schema").unwrap()));
        let mut text = String::new();
        for word in words {
            if state.is_complete() {
                break;
            }
            if let Some(next) = state.after(word.as_bytes()) {
                state = next;
                text.push_str(word);
            }
        }
        let parsed = serde_json::from_str::<Value>(&text);
        prop_assert_eq!(state.is_complete(), parsed.is_ok(), "{}", text);
        if let Ok(value) = parsed {
            prop_assert!(meets(schema, schema, &value), "{} {}", schema, text);
        } else {
            prop_assert!((0..=255u8).any(|byte| state.after(&[byte]).is_some()), "{} is a dead end", text);
        }
    }
}
