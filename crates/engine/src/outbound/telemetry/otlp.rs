//! Spans as OTLP has them in JSON (opentelemetry-proto, `trace/v1/trace.proto`): ids in hexadecimal digits, 64-bit numbers as text.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::span::{Moment, Span, Status, Value};

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u32 = 1;

pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Json {
    let mut attributes: Vec<Json> =
        resource.iter().map(|(key, value)| attribute(key, &Value::Text(value.clone()))).collect();
    let version = env!("CARGO_PKG_VERSION");
    attributes.push(attribute("service.version", &Value::Text(version.to_owned())));
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes },
            "scopeSpans": [{
                "scope": { "name": "stepwell", "version": version },
                "spans": spans.iter().map(span).collect::<Vec<_>>(),
            }],
        }],
    })
}

fn span(span: &Span) -> Json {
    let mut form = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(span.start),
        "endTimeUnixNano": nanoseconds(span.end),
        "attributes": attributes(&span.attributes),
        "events": span.moments.iter().map(moment).collect::<Vec<_>>(),
        "status": match &span.status {
            Status::Unset => json!({}),
            Status::Ok => json!({ "code": 1 }),
            Status::Error(message) => json!({ "code": 2, "message": message }),
        },
    });
    if let Some(parent) = span.parent {
        form["parentSpanId"] = hex(&parent).into();
    }
    form
}

fn moment(moment: &Moment) -> Json {
    json!({ "timeUnixNano": nanoseconds(moment.at), "name": moment.name, "attributes": attributes(&moment.attributes) })
}

fn attributes(attributes: &[(&'static str, Value)]) -> Vec<Json> {
    attributes.iter().map(|(key, value)| attribute(key, value)).collect()
}

fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": key, "value": value })
}

fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
