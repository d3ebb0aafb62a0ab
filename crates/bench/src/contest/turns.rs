//! Order of turns.

/// Order of `count` contestants in one round. Another one starts each time, so that whatever the previous contestant
/// leaves behind, such as a warm processor, favours nobody.
pub(crate) fn in_turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_turn_per_round_and_begins_once() {
        let rounds: Vec<Vec<usize>> = (0..3).map(|round| in_turns(3, round).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }
}
