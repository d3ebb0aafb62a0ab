//! Refusals, as `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use stepwell_base::error_chain::error_chain;
use stepwell_store::StoreError;

use crate::desk::DeskError;

/// Seconds after which a client asks again when a queue of the program is full.
const WAIT_FOR_QUEUE: u64 = 5;

/// A refusal. Boxed, because every function here may return one.
#[derive(Clone, Debug)]
pub struct Problem(Box<ProblemForm>);

/// A refusal. `code` is for programs, `detail` and `hint` for people.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemForm {
    /// Always `about:blank`: `code` tells refusals apart.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Problems of a workflow: `{"file","count","first"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Value>,
    #[serde(skip)]
    retry_after: Option<u64>,
    /// The field of the request that is to blame, for answers in the form of OpenAI.
    #[serde(skip)]
    param: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem(Box::new(ProblemForm {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            hint: None,
            problems: None,
            retry_after: None,
            param: None,
        }))
    }

    pub fn usage(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "usage", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A failure of the server; its cause goes to the log only.
    pub(crate) fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
        tracing::warn!("{what}: {}", error_chain(error));
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("{what} failed"))
            .hint("the log of the server has the cause")
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn about(mut self, param: impl Into<String>) -> Problem {
        self.0.param = Some(param.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.0.retry_after = Some(seconds);
        self
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Problems of a workflow: `{"file","count","first"}`.
    pub fn problems(&self) -> Option<&Value> {
        self.0.problems.as_ref()
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    pub(crate) fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&*self.0).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"stepwell\""));
        }
        // The guard may give it another form.
        response.extensions_mut().insert(self);
        response
    }
}

/// The status for a code of the command line.
fn status_of(code: &str) -> StatusCode {
    match code {
        "usage" | "ambiguous_run" | "ambiguous_step" => StatusCode::BAD_REQUEST,
        "invalid_workflow" | "invalid_settings" => StatusCode::UNPROCESSABLE_ENTITY,
        "not_found" => StatusCode::NOT_FOUND,
        "exists" | "schedule_exists" | "name_active" | "refused" | "failed" | "canceled" | "locked" | "leased" => {
            StatusCode::CONFLICT
        }
        "model_not_found" => StatusCode::NOT_FOUND,
        "queue_full" => StatusCode::TOO_MANY_REQUESTS,
        "busy" | "older_schema" | "newer_schema" | "safe_mode" => StatusCode::SERVICE_UNAVAILABLE,
        "no_space" => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Problem {
        let mut problem = Problem::new(status_of(error.code), error.code, error.message);
        problem.0.hint = error.hint;
        problem.0.problems = error.problems;
        if problem.status() == StatusCode::TOO_MANY_REQUESTS {
            problem.0.retry_after = Some(WAIT_FOR_QUEUE);
        }
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let code = match &error {
            StoreError::NoState { .. }
            | StoreError::UnknownRun { .. }
            | StoreError::UnknownStep { .. }
            | StoreError::UnknownSchedule { .. }
            | StoreError::Pruned { .. } => "not_found",
            StoreError::AmbiguousRun { .. } => "ambiguous_run",
            StoreError::AmbiguousStep { .. } => "ambiguous_step",
            StoreError::TooManyTags { .. } | StoreError::Unstorable { .. } => "usage",
            StoreError::Kept { .. } => "refused",
            StoreError::NameActive { .. } => "name_active",
            StoreError::Busy { .. } => "busy",
            StoreError::NoSpace { .. } => "no_space",
            StoreError::OlderSchema { .. } => "older_schema",
            StoreError::NewerSchema { .. } => "newer_schema",
            StoreError::DamagedMetric { .. } | StoreError::DamagedSpec { .. } | StoreError::Undecodable { .. } => {
                "damaged"
            }
            other => return Problem::internal("the state database", other),
        };
        let hint = error.hint();
        let mut problem = Problem::new(status_of(code), code, error_chain(&error));
        problem.0.hint = hint;
        problem
    }
}
