//! Finds where a template chooses a child of a fan-out and what it takes from the child, so that wrong names are found
//! before the run: `(steps.train | best(by="values.loss")).outputs.model`.

use std::ops::Range;

use super::lexer::{Spanned, Token};

const CHOOSERS: [&str; 3] = ["best", "min", "max"];

/// A choice among the children of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Choice {
    pub(crate) step: String,
    /// The path in `by`, if it is written out.
    pub(crate) by: Option<(String, Range<usize>)>,
    /// Group and name of what is taken, such as `outputs` and `model`.
    pub(crate) taken: Option<(String, String, Range<usize>)>,
}

/// Finds the choices among `tokens`.
pub(super) fn choices(tokens: &[Spanned<'_>]) -> Vec<Choice> {
    let starts = (0..tokens.len()).filter(|at| is_name(tokens, *at, &["steps"]));
    starts.filter_map(|at| choice(tokens, at)).collect()
}

fn choice(tokens: &[Spanned<'_>], at: usize) -> Option<Choice> {
    let (step, mut next) = step(tokens, at + 1)?;
    if is_symbol(tokens, next, '.') && is_name(tokens, next + 1, &["children"]) {
        next += 2;
    }
    let is_filter = is_symbol(tokens, next, '|') && is_name(tokens, next + 1, &CHOOSERS);
    let is_function = at >= 2 && is_symbol(tokens, at - 1, '(') && is_name(tokens, at - 2, &["best"]);
    let (call, mut end) = if is_filter {
        let open = next + 2;
        let end = if is_symbol(tokens, open, '(') { closing(tokens, open)? } else { next + 1 };
        (open..end, end + 1)
    } else if is_function {
        let end = closing(tokens, at - 1)?;
        (next..end, end + 1)
    } else {
        return None;
    };
    if is_filter {
        // The filter binds less than a point, so that brackets must close first.
        end = if is_symbol(tokens, end, ')') { end + 1 } else { tokens.len() };
    }
    Some(Choice { step, by: by(tokens, call), taken: taken(tokens, end) })
}

/// The name of the step behind `steps`, and the index of the token behind it.
fn step(tokens: &[Spanned<'_>], at: usize) -> Option<(String, usize)> {
    match tokens.get(at..)? {
        [(Token::Symbol('.'), _), (Token::Name(name), _), ..] => Some(((*name).to_owned(), at + 2)),
        [(Token::Symbol('['), _), (Token::Text(Some(name)), _), (Token::Symbol(']'), _), ..] => {
            Some(((*name).to_owned(), at + 3))
        }
        _ => None,
    }
}

fn by(tokens: &[Spanned<'_>], call: Range<usize>) -> Option<(String, Range<usize>)> {
    let call = tokens.get(call)?;
    call.windows(3).find_map(|part| match part {
        [(Token::Name("by"), _), (Token::Symbol('='), _), (Token::Text(Some(path)), range)] => {
            Some(((*path).to_owned(), range.clone()))
        }
        _ => None,
    })
}

fn taken(tokens: &[Spanned<'_>], at: usize) -> Option<(String, String, Range<usize>)> {
    let [(Token::Symbol('.'), _), (Token::Name(group), start), (Token::Symbol('.'), _), (Token::Name(name), end), ..] =
        tokens.get(at..)?
    else {
        return None;
    };
    Some(((*group).to_owned(), (*name).to_owned(), start.start..end.end))
}

/// The index of the bracket that closes the one at `open`.
fn closing(tokens: &[Spanned<'_>], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, (token, _)) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Symbol('(' | '[' | '{') => depth += 1,
            Token::Symbol(')' | ']' | '}') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn is_name(tokens: &[Spanned<'_>], at: usize, names: &[&str]) -> bool {
    matches!(tokens.get(at), Some((Token::Name(name), _)) if names.contains(name))
}

fn is_symbol(tokens: &[Spanned<'_>], at: usize, symbol: char) -> bool {
    matches!(tokens.get(at), Some((Token::Symbol(found), _)) if *found == symbol)
}

#[cfg(test)]
mod tests {
    use super::super::lexer::expression;
    use super::*;

    #[test]
    fn what_is_chosen_and_taken() {
        for (source, step, by, taken) in [
            ("(steps.a | best(by='values.x')).outputs.m", "a", Some("values.x"), Some("outputs.m")),
            ("1 + best(steps['a-b'], by=\"x\", order='max').values.loss", "a-b", Some("x"), Some("values.loss")),
            ("(steps.a.children | min(by=(1)))", "a", None, None),
            ("steps.a | best(by='x')", "a", Some("x"), None),
        ] {
            let found = choices(&expression(source));
            let [one] = found.as_slice() else { panic!("{source}: {found:?}") };
            assert_eq!(one.step, step, "{source}");
            assert_eq!(one.by.as_ref().map(|(path, _)| path.as_str()), by, "{source}");
            let named = one.taken.as_ref().map(|(_, _, range)| &source[range.clone()]);
            assert_eq!(named, taken, "{source}");
        }
        for none in ["steps.a.values.x | min", "steps | best(by='x')", "best(", "steps.a | best(", "best(steps.a"] {
            assert!(choices(&expression(none)).iter().all(|choice| choice.taken.is_none()), "{none}");
        }
    }
}
