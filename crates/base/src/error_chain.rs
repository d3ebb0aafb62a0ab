//! An error and its causes as one line of text.

use std::error::Error;
use std::iter::successors;

/// Formats `error` and its sources, outermost first.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let why = cause.to_string();
        // Some messages already quote their cause.
        if !text.ends_with(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
    }
    text
}

/// The sources of `error`, without `error` itself.
pub fn causes<'e>(error: &'e dyn Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("outer")]
        Outer(#[source] Box<Sample>),
        #[error("middle, since {0}")]
        Quoting(#[source] Box<Sample>),
        #[error("inner")]
        Inner,
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Sample::Outer(Box::new(Sample::Quoting(Box::new(Sample::Inner))));
        assert_eq!(error_chain(&error), "outer: middle, since inner");
        assert_eq!(error_chain(&Sample::Inner), "inner");
    }
}
