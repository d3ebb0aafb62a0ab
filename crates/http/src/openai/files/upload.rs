//! Takes an upload: a form with `purpose`, `file` and maybe `expires_after`, in any order.

use std::time::Duration;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use super::expiry::{OutputExpiry, after};
use super::form::FileForm;
use super::receive::{Receiver, too_large};
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_base::artifact::ArtifactRef;
use stepwell_store::FileRow;

/// Bytes that are written at a time, and that an upload costs in memory.
const PIECE: usize = 1 << 20;
/// Longest time without a byte.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest field beside the content, and longest name of a file, in bytes.
const LONGEST_FIELD: usize = 1024;
const LONGEST_NAME: usize = 255;

/// The form as far as it has arrived.
#[derive(Default)]
struct Form {
    purpose: Option<String>,
    content: Option<(String, String, ArtifactRef)>,
    anchor: Option<String>,
    seconds: Option<u32>,
}

pub async fn upload(State(app): State<AppState>, request: Request) -> Result<Json<FileForm>, Problem> {
    let _place = app.uploads().take()?;
    let multipart = Multipart::from_request(request, &()).await;
    let mut multipart = multipart.map_err(|rejection| {
        Problem::usage(rejection.body_text()).hint("send a form with `purpose=batch` and `file=@FILE`")
    })?;
    let mut form = Form::default();
    while let Some(field) = in_time(multipart.next_field()).await? {
        take(&app, &mut form, field).await?;
    }
    let row = form.row()?;
    app.write(move |store| Ok(Json(store.add_file(&row)?.into()))).await
}

async fn take(app: &AppState, form: &mut Form, field: Field<'_>) -> Result<(), Problem> {
    let name = field.name().unwrap_or_default().to_owned();
    match name.as_str() {
        "file" if form.content.is_some() => Err(Problem::usage("the form has two files").about("file")),
        "file" => {
            form.content = Some(content_of(app, field).await?);
            Ok(())
        }
        "purpose" => {
            form.purpose = Some(text_of(field).await?);
            Ok(())
        }
        "expires_after[anchor]" => {
            form.anchor = Some(text_of(field).await?);
            Ok(())
        }
        "expires_after[seconds]" => {
            let seconds = text_of(field).await?.parse();
            let wrong = |_| Problem::usage("`expires_after[seconds]` is no number").about("expires_after.seconds");
            form.seconds = Some(seconds.map_err(wrong)?);
            Ok(())
        }
        other => {
            let shown: String = other.chars().take(80).collect();
            Err(Problem::usage(format!("a form has no field `{shown}`"))
                .hint("it has `file`, `purpose` and `expires_after`"))
        }
    }
}

impl Form {
    fn row(self) -> Result<FileRow, Problem> {
        let purpose = self.purpose.ok_or_else(|| Problem::usage("the form has no `purpose`").about("purpose"))?;
        if purpose != "batch" {
            return Err(Problem::usage("files here have the purpose `batch`").about("purpose"));
        }
        let Some((filename, id, artifact)) = self.content else {
            return Err(Problem::usage("the form has no `file`").about("file"));
        };
        let created_at = Timestamp::now();
        let expires_at = match (self.anchor, self.seconds) {
            (None, None) => None,
            (Some(anchor), Some(seconds)) => {
                Some(after(created_at, OutputExpiry { anchor, seconds }.lasts("expires_after")?))
            }
            _ => {
                let detail = "`expires_after` needs `anchor` and `seconds`";
                return Err(Problem::usage(detail).about("expires_after"));
            }
        };
        Ok(FileRow { id, artifact, filename, purpose, created_at, expires_at })
    }
}

/// The last part of the name that the client gives: no folder of its machine is our business.
fn filename(given: Option<&str>) -> Result<String, Problem> {
    let name = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    match name {
        "" => Ok("upload.jsonl".to_owned()),
        name if name.len() > LONGEST_NAME || name.chars().any(char::is_control) => {
            let detail = format!("the name of a file has at most {LONGEST_NAME} bytes, and no control characters");
            Err(Problem::usage(detail).about("file"))
        }
        name => Ok(name.to_owned()),
    }
}

/// Stores the content of a field; returns its name, the id of its file, and the artifact.
///
/// # Errors
/// When it is too large or empty, or its name is no name of a file.
pub async fn content_of(app: &AppState, field: Field<'_>) -> Result<(String, String, ArtifactRef), Problem> {
    let filename = filename(field.file_name())?;
    let (id, artifact) = receive(app, field).await?;
    Ok((filename, id, artifact))
}

/// Writes the content in pieces, each on a thread for blocking work, so that a slow client holds no thread.
async fn receive(app: &AppState, mut field: Field<'_>) -> Result<(String, ArtifactRef), Problem> {
    let state_dir = app.read(|reader| Ok(reader.state_dir().to_owned())).await?;
    let mut receiver = app.block(move || Receiver::open(&state_dir)).await?;
    let mut piece = BytesMut::with_capacity(PIECE);
    loop {
        let chunk = in_time(field.chunk()).await?;
        let is_last = chunk.is_none();
        piece.extend_from_slice(&chunk.unwrap_or_default());
        if piece.len() >= PIECE || is_last {
            let full: Bytes = piece.split().freeze();
            receiver = app
                .block(move || {
                    receiver.take(&full)?;
                    Ok(receiver)
                })
                .await?;
        }
        if is_last {
            return app.block(move || receiver.finish()).await;
        }
    }
}

/// The text of a field beside the content.
///
/// # Errors
/// When it is too long, or no UTF-8.
pub async fn text_of(mut field: Field<'_>) -> Result<String, Problem> {
    let name = field.name().unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(field.chunk()).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_FIELD {
            return Err(Problem::usage(format!("`{name}` has at most {LONGEST_FIELD} bytes")).about(name));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::usage(format!("`{name}` is no UTF-8 text")).about(name))
}

/// A part of a form.
///
/// # Errors
/// When no byte arrives for long, or the form cannot be read.
pub async fn in_time<T>(part: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    let silent = || {
        Problem::new(StatusCode::BAD_REQUEST, "timeout", format!("no byte arrived for {} s", SILENCE.as_secs()))
            .hint("send the file again")
    };
    let part = tokio::time::timeout(SILENCE, part).await.map_err(|_| silent())?;
    part.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Problem::usage(format!("the form cannot be read: {}", error.body_text())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_what_the_client_sends() {
        for (given, expected) in [
            ("/home/me/in.jsonl", "in.jsonl"),
            ("C:\\data\\in.jsonl", "in.jsonl"),
            ("../..", ".."),
            ("a/", "upload.jsonl"),
        ] {
            assert_eq!(filename(Some(given)).unwrap(), expected);
        }
        assert!(filename(Some("a\nb")).is_err() && filename(Some(&"x".repeat(256))).is_err());
    }
}
