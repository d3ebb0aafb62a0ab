//! Long texts as sequences that a model can see.

use super::scorer::Sequence;

/// Windows that advance by half a window. Every token but the first of a text counts once, with at least half a window or its
/// whole text before it.
pub fn windows(tokens: &[u32], most: usize) -> Vec<Sequence> {
    let stride = (most / 2).max(1);
    let mut windows = Vec::new();
    let (mut start, mut done) = (0, 1);
    while done < tokens.len() {
        let end = (start + most).min(tokens.len());
        windows.push(Sequence { tokens: tokens[start..end].to_vec(), from: done - start });
        (done, start) = (end, start + stride);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_counts_once_with_half_a_window_before_it() {
        for length in 0..40_u32 {
            let tokens: Vec<u32> = (0..length).collect();
            let mut counted: Vec<u32> = Vec::new();
            for window in windows(&tokens, 8) {
                assert!(window.tokens.len() <= 8 && (window.from >= 4 || window.tokens[0] == 0), "{length}");
                counted.extend(&window.tokens[window.from..]);
            }
            assert_eq!(counted, (1..length).collect::<Vec<_>>());
        }
    }
}
