//! Sends files in pieces, whole or a range of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::problem::Problem;

/// Bytes that are read at a time, and that a slow client costs.
const PIECE: usize = 64 << 10;

/// The part of a file that a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Whole,
    /// From the first of these bytes up to before the second one.
    Part(u64, u64),
    /// Nothing that the file has.
    Nothing,
}

/// Reads the header `Range`. Several ranges, and what is no range, mean the whole file.
pub fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to && from < size => Wanted::Part(from, to.saturating_add(1).min(size)),
        (Ok(from), Ok(to)) if from <= to => Wanted::Nothing,
        (Ok(from), Err(_)) if last.is_empty() && from < size => Wanted::Part(from, size),
        (Ok(_), Err(_)) if last.is_empty() => Wanted::Nothing,
        (Err(_), Ok(0)) if first.is_empty() => Wanted::Nothing,
        (Err(_), Ok(length)) if first.is_empty() => Wanted::Part(size.saturating_sub(length), size),
        _ => Wanted::Whole,
    }
}

/// Sends a file, or the part of it that the request asks for. `headers` are those of the answer.
///
/// # Errors
/// 416 when the file has nothing of what is asked for; `internal` when it cannot be read.
pub fn send<const N: usize>(
    file: File,
    size: u64,
    wanted: Wanted,
    headers: [(HeaderName, HeaderValue); N],
) -> Result<Response, Problem> {
    let (from, to, status) = match wanted {
        Wanted::Whole => (0, size, StatusCode::OK),
        Wanted::Part(from, to) => (from, to, StatusCode::PARTIAL_CONTENT),
        Wanted::Nothing => {
            let detail = format!("the file has {size} bytes, and none of those that `Range` names");
            let mut answer = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "usage", detail).into_response();
            if let Ok(range) = HeaderValue::try_from(format!("bytes */{size}")) {
                answer.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            return Ok(answer);
        }
    };
    let mut answer = (status, headers, Body::from_stream(pieces(file, from, to)?)).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, (to - from).into());
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(range) = HeaderValue::try_from(format!("bytes {from}-{}/{size}", to - 1))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(answer)
}

fn pieces(
    mut file: File,
    from: u64,
    to: u64,
) -> Result<impl stream::Stream<Item = io::Result<Bytes>> + use<>, Problem> {
    file.seek(SeekFrom::Start(from)).map_err(|error| Problem::internal("the file", &error))?;
    Ok(stream::unfold((Some(file), to - from), |(file, left)| async move {
        // An error is the last piece.
        let file = file.filter(|_| left > 0)?;
        let read = tokio::task::spawn_blocking(move || read(file, left)).await;
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok((file, piece)) => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), (Some(file), left)))
            }
            Err(error) => Some((Err(error), (None, 0))),
        }
    }))
}

fn read(mut file: File, left: u64) -> io::Result<(File, Bytes)> {
    let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = vec![0; length];
    let length = file.read(&mut piece)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(length);
    Ok((file, Bytes::from(piece)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file() {
        let asked = |range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            wanted(&headers, 10)
        };
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=2-", Wanted::Part(2, 10)),
            ("bytes=2-99", Wanted::Part(2, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-99", Wanted::Part(0, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=18446744073709551615-18446744073709551615", Wanted::Nothing),
            ("bytes=0-18446744073709551615", Wanted::Part(0, 10)),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(asked(range), expected, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }
}
