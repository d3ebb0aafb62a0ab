//! Errors in the evaluation of a template.

use super::syntax;
use stepwell_base::failure::Failure;

#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{place}: `{expression}`: {reason}")]
pub struct TemplateError {
    /// `argument optimizer.lr`, `for_each` or `when`.
    pub place: String,
    /// The template as written.
    pub expression: String,
    pub reason: Reason,
}

#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Reason {
    #[error("{0}")]
    Syntax(String),
    #[error("unknown name `{0}`")]
    UnknownName(String),
    #[error("`{name}` has no value: step `{step}` was skipped")]
    SkippedStep { step: String, name: String },
    #[error("`{0}` is null, which compares with nothing")]
    NullInput(String),
    #[error("{0}")]
    Evaluation(String),
    #[error("{0}")]
    NotJson(String),
    #[error("gives {0}, not a list")]
    NotAList(&'static str),
    #[error("gives {0}, not true or false")]
    NotACondition(&'static str),
    #[error("gives {count} items; a fan-out has at most {maximum}")]
    TooManyItems { count: usize, maximum: usize },
    #[error("gives more than {maximum} bytes of text")]
    TooMuchText { maximum: usize },
    #[error("gives more than {maximum} values")]
    TooManyValues { maximum: usize },
    #[error("executes more than {maximum} instructions")]
    TooMuchWork { maximum: u64 },
}

impl TemplateError {
    pub fn hint(&self) -> Option<String> {
        match &self.reason {
            Reason::Syntax(_) => {
                Some("to pass `{{`, `{%` or `{#` on as text, write `{% raw %}..{% endraw %}`".to_owned())
            }
            Reason::UnknownName(_) => Some(
                "`stepwell show RUN` lists what the steps gave; `name | default(..)` is for optional names".to_owned(),
            ),
            Reason::SkippedStep { .. } => {
                Some("write `name | default(..)`, or give this step the same `when`".to_owned())
            }
            Reason::NotAList(_) => Some("`for_each` is an expression such as `range(4)` or `params.names`".to_owned()),
            Reason::NotACondition(_) => Some("compare it, such as `params.count > 0`".to_owned()),
            Reason::TooManyItems { .. } => {
                Some("let each child handle many items: `range(0, 1000000, 1000)`".to_owned())
            }
            Reason::TooMuchText { .. } | Reason::TooManyValues { .. } => {
                Some("pass big content as an artifact".to_owned())
            }
            Reason::TooMuchWork { .. } => {
                Some("let a step of kind `command` compute it and give it as a value".to_owned())
            }
            Reason::NullInput(_) => Some("give it a number in `inputs`: `{{ NAME | default(..) }}`".to_owned()),
            Reason::Evaluation(_) | Reason::NotJson(_) => None,
        }
    }

    pub(crate) fn new(place: &str, expression: &str, reason: Reason) -> TemplateError {
        TemplateError { place: place.to_owned(), expression: expression.trim().to_owned(), reason }
    }
}

impl From<minijinja::Error> for Reason {
    fn from(error: minijinja::Error) -> Self {
        match error.kind() {
            minijinja::ErrorKind::SyntaxError => Reason::Syntax(syntax::message(&error)),
            minijinja::ErrorKind::OutOfFuel => Reason::TooMuchWork { maximum: syntax::MAXIMUM_WORK },
            _ => Reason::Evaluation(syntax::message(&error)),
        }
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        let failure = Failure::fatal(error.to_string());
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}
