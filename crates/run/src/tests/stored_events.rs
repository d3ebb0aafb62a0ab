//! The JSON of every event as the log stores it. A hash covers the text, so a changed byte is a changed format.

use super::*;

const STORED: &str = include_str!("stored_events.jsonl");

#[test]
fn every_event_has_the_json_that_is_stored() {
    let mut kinds = BTreeSet::new();
    for line in STORED.lines() {
        let event: Event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
        let value = serde_json::to_value(&event).unwrap();
        kinds.insert(value["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.len(), 30, "one line at least for each kind of event");
}

#[test]
fn an_event_that_lacks_a_field_or_is_unknown_is_refused() {
    for line in STORED.lines() {
        let Value::Object(fields) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        let needed = ["step", "fence", "attempt", "failure", "outputs", "name", "reason", "type"];
        for name in needed.into_iter().filter(|name| fields.contains_key(*name)) {
            let mut fields = fields.clone();
            fields.remove(name);
            let lacking = Value::Object(fields).to_string();
            assert!(serde_json::from_str::<Event>(&lacking).is_err(), "{lacking}");
        }
    }
    assert!(serde_json::from_str::<Event>(r#"{"type":"step_exploded","step":"a"}"#).is_err());
}
