//! How sure an interval is.

use crate::normal::upper_quantile;

/// Share of intervals that hold the true value, such as 0.95.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Confidence(f64);

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct InvalidConfidence(pub f64);

impl std::fmt::Display for InvalidConfidence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "a confidence is at least 0.5 and less than 1, not {}", self.0)
    }
}

impl std::error::Error for InvalidConfidence {}

impl Confidence {
    pub const P95: Confidence = Confidence(0.95);

    /// # Errors
    /// When it is not at least 0.5 and less than 1.
    pub fn new(share: f64) -> Result<Confidence, InvalidConfidence> {
        if (0.5..1.0).contains(&share) { Ok(Confidence(share)) } else { Err(InvalidConfidence(share)) }
    }

    pub fn share(self) -> f64 {
        self.0
    }

    /// Probability of one of the two tails.
    pub(crate) fn tail(self) -> f64 {
        (1.0 - self.0) / 2.0
    }

    /// Standard errors on each side of the estimate.
    pub(crate) fn normal_quantile(self) -> f64 {
        upper_quantile(self.tail())
    }
}
