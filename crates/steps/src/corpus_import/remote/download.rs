//! Downloads one file, in as many requests as it takes: after a dropped connection the next request asks for the rest.

use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, StatusCode};

use super::client::{Client, cut, header};
use super::digests::Checksum;
use super::partial::{Complete, Partial, Version};
use crate::corpus_documents::write_failure;
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::{Failure, FailureKind};

/// Bytes after which the file is made durable: the most that a crash downloads again.
const SAVE_EVERY: u64 = 32 << 20;

/// Requests in a row that bring nothing before the attempt fails.
const MOST_FRUITLESS: u32 = 4;

/// Wait after the first fruitless request; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A file to download.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub url: String,
    pub checksum: Option<Checksum>,
    /// Length that the hub's list says.
    pub length: Option<u64>,
    /// Most bytes to accept.
    pub max_bytes: u64,
}

/// A file that is complete on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Got {
    pub bytes: u64,
    pub sha256: String,
    pub etag: Option<String>,
}

/// Result of one request.
enum Part {
    /// The file is complete.
    Whole,
    /// The connection ended early, or the server asked to come back; nothing is wrong with the file.
    Stopped { why: String, wait: Option<Duration> },
}

/// Downloads to `path`, or resumes there.
///
/// # Errors
/// When the server has no such file, the file changed between two requests, is too large, or has another checksum;
/// nothing of such a file is left. `Interrupted`, with what was downloaded kept.
pub fn download(
    context: &mut StepContext<'_>,
    client: &Client,
    wanted: &Wanted,
    path: &Path,
) -> Result<Got, StepError> {
    let git_length = wanted.length.filter(|_| matches!(wanted.checksum, Some(Checksum::GitBlob(_))));
    let mut partial = Partial::open(path, &wanted.url, git_length).map_err(|error| unwritable(&error))?;
    let mut fruitless = 0;
    while !partial.is_complete() {
        let before = partial.bytes;
        let (why, wait) = match request(context, client, wanted, &mut partial) {
            Ok(Part::Whole) => break,
            Ok(Part::Stopped { why, wait }) => (why, wait),
            // A full disk says nothing about the file.
            Err(StepError::Failed(failure)) if failure.kind != FailureKind::NoSpace => {
                partial.remove();
                return Err(failure.into());
            }
            Err(error) => return Err(error),
        };
        fruitless = if partial.bytes > before { 0 } else { fruitless + 1 };
        if fruitless > MOST_FRUITLESS {
            return Err(Failure::retryable(format!(
                "the download of {} stopped at byte {}: {why}",
                cut(&wanted.url),
                partial.bytes
            ))
            .with_hint("the next attempt resumes there")
            .into());
        }
        if fruitless > 0 {
            sleep(context, wait.unwrap_or(FIRST_WAIT * 2_u32.pow(fruitless - 1)).min(LONGEST_WAIT))?;
        }
    }
    let got = Got { bytes: partial.bytes, sha256: partial.digests.sha256(), etag: partial.version().etag.clone() };
    if let Some(failure) = wanted.checksum.as_ref().and_then(|checksum| wrong_checksum(wanted, checksum, &partial)) {
        partial.remove();
        return Err(failure.into());
    }
    Ok(got)
}

fn wrong_checksum(wanted: &Wanted, checksum: &Checksum, partial: &Partial) -> Option<Failure> {
    let actual = partial.digests.of(checksum);
    (actual != checksum.value()).then(|| {
        let message =
            format!("{} has the {} {actual}, not {}", cut(&wanted.url), checksum.name(), cut(checksum.value()));
        Failure::fatal(message).with_hint("nothing of it was kept; check the address and the checksum")
    })
}

fn request(
    context: &mut StepContext<'_>,
    client: &Client,
    wanted: &Wanted,
    partial: &mut Partial,
) -> Result<Part, StepError> {
    let (from, known) = (partial.bytes, partial.version().clone());
    let range = format!("bytes={from}-");
    let headers: Vec<(&str, &str)> = match known.condition().filter(|_| from > 0) {
        Some(condition) => vec![("range", range.as_str()), ("if-range", condition)],
        None => Vec::new(),
    };
    let answer = match client.get(&wanted.url, &headers) {
        Ok(answer) => answer,
        Err(failure) if failure.kind == FailureKind::Retryable => {
            return Ok(Part::Stopped { why: failure.message, wait: None });
        }
        Err(failure) => return Err(failure.into()),
    };
    let status = answer.status();
    if let Some(refused) = refused(wanted, status, answer.headers()) {
        return refused.map_err(StepError::from);
    }
    let version = version(answer.headers(), status);
    if from > 0 && !known.agrees(&version) {
        return Err(changed(wanted, &known, &version).into());
    }
    if let Some(length) = version.length.filter(|length| *length > wanted.max_bytes) {
        return Err(too_large(wanted, length).into());
    }
    if let (Some(said), Some(listed)) = (version.length, wanted.length)
        && said != listed
    {
        let message = format!("{} has {said} bytes, the list of the hub says {listed}", cut(&wanted.url));
        return Err(Failure::fatal(message).with_hint("check the endpoint of the hub").into());
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let start = content_range(answer.headers()).map(|(start, _)| start);
        if start != Some(from) {
            let message = format!("{} sent another range than bytes {from} and up", cut(&wanted.url));
            return Err(Failure::fatal(message).with_hint("report it to the server's operator").into());
        }
    } else {
        // The whole file from its first byte: a server without ranges, or the first request.
        partial.restart(version.clone()).map_err(|error| unwritable(&error))?;
    }
    let read = receive(context, answer.into_body().into_reader(), wanted, partial);
    let complete = read.is_ok() && version.length.is_none_or(|length| partial.bytes == length);
    partial.save(if complete { Complete::Yes } else { Complete::No }).map_err(|error| unwritable(&error))?;
    match read {
        Ok(()) if complete => Ok(Part::Whole),
        Ok(()) => Ok(Part::Stopped { why: "the connection ended early".to_owned(), wait: None }),
        Err(Ended::Connection(why)) => Ok(Part::Stopped { why, wait: None }),
        Err(Ended::Step(error)) => Err(error),
    }
}

/// Reason for a body to end before its end.
enum Ended {
    Connection(String),
    Step(StepError),
}

fn receive(
    context: &mut StepContext<'_>,
    mut body: impl Read,
    wanted: &Wanted,
    partial: &mut Partial,
) -> Result<(), Ended> {
    let step = |failure: Failure| Ended::Step(failure.into());
    let (mut buffer, mut saved) = (vec![0; 1 << 17], partial.bytes);
    loop {
        let total = partial.version().length.unwrap_or(partial.bytes);
        context.report(partial.bytes, total, "bytes", "downloading").map_err(Ended::Step)?;
        let read = body.read(&mut buffer).map_err(|error| Ended::Connection(cut(&error.to_string())))?;
        if read == 0 {
            return Ok(());
        }
        if partial.bytes + read as u64 > partial.version().length.unwrap_or(u64::MAX).min(wanted.max_bytes) {
            return Err(step(too_large(wanted, partial.bytes + read as u64)));
        }
        partial.append(&buffer[..read]).map_err(|error| step(unwritable(&error)))?;
        if partial.bytes - saved >= SAVE_EVERY {
            partial.save(Complete::No).map_err(|error| step(unwritable(&error)))?;
            saved = partial.bytes;
        }
    }
}

/// What an answer without content means; `None` for one with content.
fn refused(wanted: &Wanted, status: StatusCode, headers: &HeaderMap) -> Option<Result<Part, Failure>> {
    let (url, code) = (cut(&wanted.url), status.as_u16());
    let fatal = |message: String, hint: &str| Some(Err(Failure::fatal(message).with_hint(hint)));
    match code {
        200 | 206 => None,
        401 | 403 => fatal(
            format!("the server refuses {url} (status {code})"),
            "set `token` to a secret that may read it, such as `token = { env = \"HF_TOKEN\" }`",
        ),
        404 | 410 => fatal(
            format!("the server has no {url} (status {code})"),
            "check the address; nothing of the other files was imported",
        ),
        408 | 416 | 425 | 429 | 500..=599 => {
            let wait =
                header(headers, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            Some(Ok(Part::Stopped { why: format!("the server answered with status {code}"), wait }))
        }
        _ => fatal(format!("the server answered {url} with status {code}"), "check the address"),
    }
}

fn version(headers: &HeaderMap, status: StatusCode) -> Version {
    let whole = content_range(headers).and_then(|(_, length)| length);
    let length = header(headers, "content-length").and_then(|text| text.parse().ok());
    Version {
        etag: header(headers, "etag"),
        last_modified: header(headers, "last-modified"),
        length: if status == StatusCode::PARTIAL_CONTENT { whole } else { length },
    }
}

/// First byte and length of the whole file, of `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = header(headers, "content-range")?;
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, length.trim().parse().ok()))
}

fn changed(wanted: &Wanted, before: &Version, now: &Version) -> Failure {
    let shown = |version: &Version| match (&version.etag, &version.last_modified) {
        (Some(tag), _) => format!("entity tag {}", cut(tag)),
        (None, Some(date)) => format!("date {}", cut(date)),
        (None, None) => "no entity tag".to_owned(),
    };
    Failure::retryable(format!(
        "{} changed on the server during the download, from {} to {}, so nothing of it was kept",
        cut(&wanted.url),
        shown(before),
        shown(now)
    ))
    .with_hint("the next attempt downloads the new file; pin its content with `#sha256=HEX`")
}

fn too_large(wanted: &Wanted, length: u64) -> Failure {
    Failure::fatal(format!("{} has {length} bytes or more, `max_bytes` is {}", cut(&wanted.url), wanted.max_bytes))
        .with_hint("raise `max_bytes`, or name a smaller file")
}

fn sleep(context: &StepContext<'_>, time: Duration) -> Result<(), StepError> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        context.check_interrupt()?;
        thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

fn unwritable(error: &std::io::Error) -> Failure {
    write_failure("the download", error)
}
