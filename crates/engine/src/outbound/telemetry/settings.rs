//! The variables that OpenTelemetry defines
//! (opentelemetry.io/docs/specs/otel/protocol/exporter, .../configuration/sdk-environment-variables).

use std::time::Duration;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest value of a variable in bytes.
const LONGEST: usize = 16 << 10;

/// Where traces go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::outbound) struct Settings {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Duration,
    /// Attributes of everything that this process sends, with the name of the service.
    pub(super) resource: Vec<(String, String)>,
}

impl Settings {
    /// `None` if nobody wants traces.
    ///
    /// # Errors
    /// A text about a variable that cannot be followed.
    pub(in crate::outbound) fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Settings>, String> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let of_traces = |name: &str| {
            let special = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            set(&special).or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
            || set("STEPWELL_NOTIFY").is_some_and(|value| value == "off");
        let url = match (set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), set("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            _ if is_off => return Ok(None),
            (Some(exact), _) => exact,
            (None, Some(base)) => format!("{}/v1/traces", base.trim_end_matches('/')),
            (None, None) => return Ok(None),
        };
        if !(url.starts_with("http://") || url.starts_with("https://")) || url.len() > LONGEST {
            return Err("OTEL_EXPORTER_OTLP_ENDPOINT is no address of http or https, such as `http://localhost:4318`"
                .to_owned());
        }
        if of_traces("PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
            return Err("OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`; traces are sent as `http/json`, to port 4318 of most collectors".to_owned());
        }
        let timeout = of_traces("TIMEOUT").and_then(|text| text.parse().ok()).map(Duration::from_millis);
        let mut resource = pairs(&set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let name = set("OTEL_SERVICE_NAME").or_else(|| take(&mut resource, "service.name"));
        resource.retain(|(key, _)| key != "service.name");
        resource.insert(0, ("service.name".to_owned(), name.unwrap_or_else(|| "stepwell".to_owned())));
        Ok(Some(Settings {
            url,
            headers: pairs(&of_traces("HEADERS").unwrap_or_default()),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT).clamp(Duration::from_millis(1), LONGEST_TIMEOUT),
            resource,
        }))
    }
}

fn take(pairs: &mut [(String, String)], key: &str) -> Option<String> {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
}

/// `a=b,c=d` with percent-encoded values.
fn pairs(text: &str) -> Vec<(String, String)> {
    let text = text.get(..LONGEST).unwrap_or(text);
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let (key, value) = (decoded(key.trim()), decoded(value.trim()));
        (!key.is_empty()).then_some((key, value))
    };
    text.split(',').filter_map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::from_variables(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn variables_are_those_of_the_specification() {
        assert_eq!(settings(&[]), Ok(None));
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/");
        let some = |more: &[(&str, &str)]| settings(&[&[base], more].concat()).unwrap().unwrap();
        assert_eq!(some(&[]).url, "http://localhost:4318/v1/traces");
        let exact = some(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c.test/x")]);
        assert_eq!(exact.url, "https://c.test/x");
        let named = some(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=ml%20ops"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20eA==, x-key = 1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(named.resource, [pair("service.name", "a"), pair("team", "ml ops")]);
        assert_eq!(named.headers, [pair("authorization", "Basic eA=="), pair("x-key", "1")]);
        assert_eq!(named.timeout, Duration::from_millis(250));
        assert_eq!(some(&[("OTEL_SERVICE_NAME", "b")]).resource[0].1, "b");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("STEPWELL_NOTIFY", "off")] {
            assert_eq!(settings(&[base, off]), Ok(None));
        }
        assert!(settings(&[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_err());
        assert!(settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")]).is_err());
    }
}
