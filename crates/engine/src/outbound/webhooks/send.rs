//! Sends one message once.

use std::time::Duration;

use jiff::Timestamp;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::signature::{Key, sign};
use stepwell_base::secret::{Secret, SecretSource};
use stepwell_steps::read_secret;
use stepwell_store::MessageRow;
use stepwell_workflow::webhook::{HeaderValue, Webhook};

/// Bytes of an answer that are read: enough to see what the receiver says about a failure.
const READ: u64 = 2048;
/// Characters of it that are kept.
const KEPT: usize = 200;
const LARGEST_HEAD: usize = 16 << 10;

/// What an attempt came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// An answer from 200 to 299.
    Delivered { status: u16 },
    /// Another answer.
    Refused { status: u16, why: String, retry_after: Option<Duration> },
    /// No answer.
    Lost { why: String },
}

/// A receiver with what it takes to reach it.
pub(super) struct Sender {
    agent: Agent,
}

impl Sender {
    /// # Errors
    /// When the certificates cannot be read, as a text.
    pub(super) fn new(webhook: &Webhook) -> Result<Sender, String> {
        let mut config = Agent::config_builder()
            .https_only(webhook.address.is_encrypted())
            .http_status_as_error(false)
            // Another host could be anybody.
            .max_redirects(0)
            .max_response_header_size(LARGEST_HEAD)
            .user_agent(concat!("stepwell/", env!("CARGO_PKG_VERSION")));
        if webhook.address.is_loopback() {
            config = config.proxy(None);
        }
        if let Some(path) = &webhook.ca {
            let failed = |why: &dyn std::fmt::Display| format!("the certificates `{}`: {why}", path.display());
            let text = std::fs::read(path).map_err(|error| failed(&error))?;
            let mut certificates: Vec<Certificate<'static>> = Vec::new();
            for item in parse_pem(&text) {
                if let PemItem::Certificate(certificate) = item.map_err(|error| failed(&error))? {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(failed(&"there is no certificate in PEM form in it"));
            }
            let roots = RootCerts::new_with_certs(&certificates);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Sender { agent: config.build().new_agent() })
    }

    /// # Errors
    /// When a secret cannot be read here, as a text: the receiver is not to blame.
    pub(super) fn send(
        &self,
        webhook: &Webhook,
        message: &MessageRow,
        (now, timeout): (Timestamp, Duration),
    ) -> Result<Sent, String> {
        let mut keys = Vec::new();
        for source in &webhook.secrets {
            let secret = read(&webhook.name, source)?;
            let bad = |why: String| {
                format!("the secret of webhook `{}` {why}; `stepwell webhook secret` makes one", webhook.name)
            };
            keys.push(Key::parse(&secret).map_err(bad)?);
        }
        let timestamp = now.as_second();
        let mut request = self
            .agent
            .post(webhook.address.url())
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", sign(&keys, &message.id, timestamp, &message.body));
        for (name, value) in &webhook.headers {
            request = match value {
                HeaderValue::Text(text) => request.header(name, text),
                HeaderValue::Secret(source) => request.header(name, read(name, source)?),
            };
        }
        let answer = request.config().timeout_global(Some(timeout)).build().send(message.body.as_str());
        Ok(match answer {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                if answer.status().is_success() {
                    return Ok(Sent::Delivered { status });
                }
                let header =
                    |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
                let retry_after =
                    header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                let why = match header("location").filter(|_| answer.status().is_redirection()) {
                    Some(to) => format!("it redirects to {}, which is not followed", cut(&to)),
                    None => {
                        let body = answer.body_mut().with_config().limit(READ).lossy_utf8(true).read_to_string();
                        cut(&body.unwrap_or_default())
                    }
                };
                Sent::Refused { status, why, retry_after }
            }
            Err(ureq::Error::Timeout(_)) => Sent::Lost { why: format!("no answer within {} s", timeout.as_secs_f32()) },
            Err(error) => Sent::Lost { why: cut(&error.to_string()) },
        })
    }
}

fn read(name: &str, source: &SecretSource) -> Result<String, String> {
    let secret = Secret { name: name.to_owned(), source: source.clone() };
    read_secret(&secret).map_err(|failure| failure.message)
}

fn cut(text: &str) -> String {
    text.trim().chars().take(KEPT).collect()
}
