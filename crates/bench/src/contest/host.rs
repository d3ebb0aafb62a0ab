//! The other end of a contestant's pipes, for contestants that are this program.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

/// Reads requests and writes answers, one line each.
pub(crate) struct Host;

impl Host {
    /// Announces that this contestant accepts requests.
    pub fn ready() -> io::Result<Host> {
        let host = Host;
        host.answer(&json!({ "ready": { "version": env!("CARGO_PKG_VERSION") } }))?;
        Ok(host)
    }

    /// Reads the next request, or returns `None` at the end of the input.
    pub fn request(&self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }

    pub fn answer(&self, answer: &impl Serialize) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the protocol with the other contestant")]
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(answer)?)?;
        out.flush()
    }
}
