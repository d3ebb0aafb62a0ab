//! Programs of one's own: one call is one process, with JSON on standard input and on standard output.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::field::{dollars, id, list, malformed, port, text, time};
use crate::money::Price;
use crate::provider::{Address, Instance, InstanceId, LaunchRequest, Phase, Provider, Status, Timed, Wanted};
use crate::provider_error::ProviderError;
use stepwell_base::json::{Limit, parse};
use stepwell_base::shell;

const ANSWER: Limit = Limit { depth: 16, bytes: 4 << 20 };
/// Bytes of standard error that are kept.
const KEPT: u64 = 4096;
const POLL: Duration = Duration::from_millis(5);
/// Holds the secret of the provider in the program's environment.
const KEY: &str = "STEPWELL_REMOTE_KEY";

/// The program gets the name of the operation as its last argument: `price`, `launch`, `list`, `status` or `terminate`.
pub struct CommandProvider {
    pub argv: Vec<String>,
    pub key: Option<String>,
    pub timeout: Duration,
}

impl CommandProvider {
    fn call(&self, operation: &'static str, request: &Value) -> Result<Value, ProviderError> {
        let program = self.argv.first().cloned().unwrap_or_default();
        let failed = |why: String| ProviderError::Program { program: format!("{program} {operation}"), why };
        let mut command = Command::new(&program);
        command.args(self.argv.iter().skip(1)).arg(operation);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(key) = &self.key {
            command.env(KEY, key);
        }
        let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
        let output = reader(child.stdout.take(), ANSWER.bytes + 1);
        let errors = reader(child.stderr.take(), KEPT);
        if let Some(mut stdin) = child.stdin.take() {
            // A program that reads nothing closes the pipe; its answer says what it thinks of that.
            let _ = stdin.write_all(request.to_string().as_bytes());
        }
        let until = Instant::now() + self.timeout;
        let status = wait(&mut child, until)?;
        let Some(status) = status else {
            return Err(failed(format!("gave no answer within {} s", self.timeout.as_secs())));
        };
        // A grandchild may hold the pipes open.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let output = output.recv_timeout(left).map_err(|_| failed("did not close its output".to_owned()))?;
        let parsed = parse::<Value>(&output, ANSWER).map_err(|source| ProviderError::Json { call: operation, source });
        if let Some(why) = parsed.as_ref().ok().and_then(|answer| text(answer, "/error")) {
            return Err(failed(format!("says: {why}")));
        }
        if !status.success() {
            let errors = errors.recv_timeout(left).unwrap_or_default();
            let errors = String::from_utf8_lossy(&errors).trim().to_owned();
            return Err(failed(format!("ended with {status}{}{errors}", if errors.is_empty() { "" } else { ": " })));
        }
        parsed
    }
}

/// Waits for the end of the program; kills it at `until`, and returns `None`.
fn wait(child: &mut Child, until: Instant) -> Result<Option<ExitStatus>, ProviderError> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Reads up to `most` bytes on a thread of its own, then drains the rest.
fn reader(stream: Option<impl Read + Send + 'static>, most: u64) -> mpsc::Receiver<Vec<u8>> {
    let (done, result) = mpsc::channel();
    if let Some(mut stream) = stream {
        thread::spawn(move || {
            let mut kept = Vec::new();
            let read = stream.by_ref().take(most).read_to_end(&mut kept);
            // Nobody waits any more after a timeout.
            let _ = read.and_then(|_| std::io::copy(&mut stream, &mut std::io::sink()));
            let _ = done.send(kept);
        });
    }
    result
}

fn request(wanted: Wanted<'_>) -> Value {
    json!({ "schema": 1, "host_type": wanted.host_type, "region": wanted.region })
}

fn launch_body(launch: LaunchRequest<'_>) -> Value {
    let mut body = request(launch.wanted);
    body["name"] = json!(launch.name);
    body["image"] = json!(launch.image);
    body["price_limit"] = json!(launch.price.0 as f64 / 1e6);
    body
}

fn instance(call: &'static str, value: &Value) -> Result<Instance, ProviderError> {
    let phase = match text(value, "/phase").as_deref() {
        Some("starting") => Phase::Starting,
        Some("running") => Phase::Running,
        Some("stopping") => Phase::Stopping,
        _ => return Err(malformed(call, "`phase` of an instance is starting, running or stopping")),
    };
    let ssh = || {
        let host = text(value, "/host")?;
        let port = if value.pointer("/port").is_some() { port(value, "/port")? } else { 22 };
        Address::ssh(&host, port, &text(value, "/user").unwrap_or_else(|| "root".to_owned()))
    };
    let folder = text(value, "/folder").map(|path| Address::Folder { path });
    Ok(Instance {
        id: id(call, value, "/id")?,
        name: text(value, "/name").unwrap_or_default(),
        phase,
        address: folder.or_else(ssh),
        started_at: time(value, "/started_at"),
        price: dollars(value, "/price_per_hour"),
    })
}

impl Provider for CommandProvider {
    fn price(&self, wanted: Wanted<'_>) -> Result<Timed<Price>, ProviderError> {
        let answer = self.call("price", &request(wanted))?;
        let price = dollars(&answer, "/price_per_hour").ok_or_else(|| malformed("price", "no `price_per_hour`"))?;
        Ok(Timed { value: price, at: time(&answer, "/now") })
    }

    fn launch(&self, request: LaunchRequest<'_>) -> Result<Timed<InstanceId>, ProviderError> {
        let answer = self.call("launch", &launch_body(request))?;
        Ok(Timed { value: id("launch", &answer, "/id")?, at: time(&answer, "/now") })
    }

    fn list(&self) -> Result<Timed<Vec<Instance>>, ProviderError> {
        let answer = self.call("list", &json!({ "schema": 1 }))?;
        let found = list("list", &answer, "/instances")?.iter().map(|value| instance("list", value));
        Ok(Timed { value: found.collect::<Result<_, _>>()?, at: time(&answer, "/now") })
    }

    fn status(&self, wanted: &InstanceId) -> Status {
        let answer = match self.call("status", &json!({ "schema": 1, "id": wanted })) {
            Ok(answer) => answer,
            Err(error) => return Status::Unknown(error),
        };
        let at = time(&answer, "/now");
        match (text(&answer, "/status").as_deref(), answer.pointer("/instance")) {
            (Some("gone"), _) => Status::Gone(Timed { value: time(&answer, "/ended_at"), at }),
            (Some("exists"), Some(value)) => match instance("status", value) {
                Ok(found) if found.id == *wanted => Status::Exists(Timed { value: found, at }),
                Ok(_) => Status::Unknown(malformed("status", "it is about another instance")),
                Err(error) => Status::Unknown(error),
            },
            _ => Status::Unknown(malformed("status", "`status` is `gone`, or `exists` with an `instance`")),
        }
    }

    fn terminate(&self, instance: &InstanceId) -> Result<(), ProviderError> {
        self.call("terminate", &json!({ "schema": 1, "id": instance })).map(|_| ())
    }

    fn launch_call(&self, request: LaunchRequest<'_>) -> String {
        format!("{} launch <<< {}", self.shown(), launch_body(request))
    }

    fn terminate_call(&self, instance: &InstanceId) -> String {
        format!("{} terminate <<< {}", self.shown(), json!({ "id": instance }))
    }
}

impl CommandProvider {
    fn shown(&self) -> String {
        self.argv.iter().map(shell::quote).collect::<Vec<_>>().join(" ")
    }
}
