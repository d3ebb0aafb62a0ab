//! Questions as tokens, in the way of lm-eval: a text is cut into tokens as a whole, and those beyond the context's count.

use super::scorer::{Scorer, Sequence};

/// A choice after its context. Spaces at the end of the context belong to the choice, because tokens start with their space.
///
/// # Errors
/// Why the choice cannot be scored.
pub fn continuation(scorer: &(impl Scorer + ?Sized), context: &str, continuation: &str) -> Result<Sequence, String> {
    let stem = context.trim_end();
    let whole = format!("{context}{continuation}");
    if stem.is_empty() {
        return alone(scorer, &whole);
    }
    let tokens = scorer.encode(&whole).map_err(|failure| failure.message)?;
    let from = scorer.encode(stem).map_err(|failure| failure.message)?.len();
    if from == 0 {
        return Err("the context has no token".to_owned());
    }
    if tokens.len() <= from {
        return Err("a choice has no token of its own after the context".to_owned());
    }
    Ok(Sequence { tokens, from })
}

/// A text without a context: after the token that starts one.
///
/// # Errors
/// Why the text cannot be scored.
pub fn alone(scorer: &(impl Scorer + ?Sized), text: &str) -> Result<Sequence, String> {
    let Some(start) = scorer.start() else {
        return Err("there is no context, and the model has no token that starts or ends a text".to_owned());
    };
    let own = scorer.encode_part(text).map_err(|failure| failure.message)?;
    if own.is_empty() {
        return Err("the text has no token".to_owned());
    }
    Ok(Sequence { tokens: std::iter::once(start).chain(own).collect(), from: 1 })
}

impl Sequence {
    /// Drops the first tokens of a context that is too long.
    ///
    /// # Errors
    /// When too few tokens are left to have one before those that count.
    pub fn within(mut self, window: usize) -> Result<Sequence, String> {
        let beyond = self.tokens.len().saturating_sub(window);
        if beyond >= self.from {
            let counted = self.tokens.len() - self.from;
            return Err(format!("{counted} tokens to be scored do not fit into the {window} that the model sees"));
        }
        self.tokens.drain(..beyond);
        self.from -= beyond;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::letters::Letters;
    use super::*;

    #[test]
    fn spaces_at_the_end_of_a_context_belong_to_the_choice() {
        let scorer = Letters::default();
        let one = continuation(&scorer, "ab", " cd").unwrap();
        let other = continuation(&scorer, "ab ", "cd").unwrap();
        assert_eq!(one, other);
        // The start token, and two letters of context.
        assert_eq!((one.tokens.len(), one.from), (6, 3));
        let alone = continuation(&scorer, "", "cd").unwrap();
        assert_eq!((alone.tokens.len(), alone.from), (3, 1));
    }

    #[test]
    fn a_long_context_loses_its_start_and_a_long_choice_is_refused() {
        let scorer = Letters::default();
        let sequence = continuation(&scorer, "abcdef", " gh").unwrap();
        let cut = sequence.clone().within(5).unwrap();
        assert_eq!((cut.tokens.len(), cut.from), (5, 2));
        assert_eq!(cut.tokens[..], sequence.tokens[5..]);
        assert!(sequence.clone().within(3).unwrap_err().contains("3 tokens"));
        assert_eq!(sequence.clone().within(100).unwrap(), sequence);
    }
}
