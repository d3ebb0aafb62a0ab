//! Reasons why a row has no answer, in the words of OpenAI's API.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Category of a failed row or of a bad line; `as_str` is what clients compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    InvalidJsonLine,
    DuplicateCustomId,
    InvalidCustomId,
    InvalidMethod,
    InvalidUrl,
    MismatchedUrl,
    MissingRequiredParameter,
    InvalidType,
    InvalidValue,
    UnknownParameter,
    UnsupportedParameter,
    ModelNotFound,
    MismatchedModel,
    ContextLengthExceeded,
    LineTooLarge,
    TooManyLines,
    FileTooLarge,
    EmptyFile,
    InternalError,
    /// The row needs more memory than there is, even alone.
    OutOfMemory,
    BatchExpired,
    BatchCancelled,
    RequestTimeout,
    /// The row was in flight when its worker died, three times.
    RequestCrashed,
}

impl Code {
    /// All categories, in the order of the type.
    pub const ALL: [Code; 24] = [
        Code::InvalidJsonLine,
        Code::DuplicateCustomId,
        Code::InvalidCustomId,
        Code::InvalidMethod,
        Code::InvalidUrl,
        Code::MismatchedUrl,
        Code::MissingRequiredParameter,
        Code::InvalidType,
        Code::InvalidValue,
        Code::UnknownParameter,
        Code::UnsupportedParameter,
        Code::ModelNotFound,
        Code::MismatchedModel,
        Code::ContextLengthExceeded,
        Code::LineTooLarge,
        Code::TooManyLines,
        Code::FileTooLarge,
        Code::EmptyFile,
        Code::InternalError,
        Code::OutOfMemory,
        Code::BatchExpired,
        Code::BatchCancelled,
        Code::RequestTimeout,
        Code::RequestCrashed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidJsonLine => "invalid_json_line",
            Code::DuplicateCustomId => "duplicate_custom_id",
            Code::InvalidCustomId => "invalid_custom_id",
            Code::InvalidMethod => "invalid_method",
            Code::InvalidUrl => "invalid_url",
            Code::MismatchedUrl => "mismatched_url",
            Code::MissingRequiredParameter => "missing_required_parameter",
            Code::InvalidType => "invalid_type",
            Code::InvalidValue => "invalid_value",
            Code::UnknownParameter => "unknown_parameter",
            Code::UnsupportedParameter => "unsupported_parameter",
            Code::ModelNotFound => "model_not_found",
            Code::MismatchedModel => "mismatched_model",
            Code::ContextLengthExceeded => "context_length_exceeded",
            Code::LineTooLarge => "line_too_large",
            Code::TooManyLines => "too_many_lines",
            Code::FileTooLarge => "file_too_large",
            Code::EmptyFile => "empty_file",
            Code::InternalError => "internal_error",
            Code::OutOfMemory => "out_of_memory",
            Code::BatchExpired => "batch_expired",
            Code::BatchCancelled => "batch_cancelled",
            Code::RequestTimeout => "request_timeout",
            Code::RequestCrashed => "request_crashed",
        }
    }

    /// Status of the answer that the API would give; `None` for what has no answer at all.
    pub fn status(self) -> Option<u16> {
        match self {
            Code::ModelNotFound => Some(404),
            Code::InternalError => Some(500),
            Code::BatchExpired
            | Code::BatchCancelled
            | Code::RequestTimeout
            | Code::RequestCrashed
            | Code::OutOfMemory => None,
            _ => Some(400),
        }
    }
}

/// A row without an answer, or a request that the API refuses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RowError {
    pub code: Code,
    pub message: String,
    /// The field that is to blame, such as `temperature` or `messages[2].role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
}

impl RowError {
    pub fn new(code: Code, message: impl Into<String>) -> RowError {
        RowError { code, message: message.into(), param: None }
    }

    /// An error about a field of the body.
    pub fn about(param: impl Into<String>, code: Code, message: impl Into<String>) -> RowError {
        RowError { code, message: message.into(), param: Some(param.into()) }
    }

    pub fn expired() -> RowError {
        RowError::new(Code::BatchExpired, "This request could not be executed before the completion window expired.")
    }

    pub fn cancelled() -> RowError {
        RowError::new(Code::BatchCancelled, "This request was not executed because the batch was cancelled.")
    }

    /// A row that took longer than it may.
    pub fn timed_out(after: std::time::Duration) -> RowError {
        let seconds = after.as_secs_f64();
        RowError::new(Code::RequestTimeout, format!("This request was not completed within {seconds} seconds."))
    }

    /// The body `{"error": {...}}` that an OpenAI client expects with the status of the code.
    pub fn body(&self) -> Value {
        let kind = match self.code.status() {
            Some(status) if status < 500 => "invalid_request_error",
            _ => "server_error",
        };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code.as_str() } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_stored_under_its_name() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        assert!(Code::ALL.is_sorted());
    }

    #[test]
    fn the_body_is_what_clients_map_to_exceptions() {
        let error = RowError::about("n", Code::InvalidValue, "too many");
        assert_eq!(
            error.body(),
            json!({"error": {"message": "too many", "type": "invalid_request_error", "param": "n", "code": "invalid_value"}})
        );
        assert_eq!(RowError::expired().body()["error"]["type"], "server_error");
    }
}
