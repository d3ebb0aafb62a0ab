//! Limits the number of steps that a round of claims decides about.

/// Maximum number of steps decided between two commits; a larger number delays everything else.
const MOST: usize = 1024;
/// Maximum before the first commit of an engine, so that progress shows soon. It doubles each time it is reached, up to
/// [`MOST`].
const FIRST: usize = 64;

pub(crate) struct ClaimPace {
    limit: usize,
    has_more: bool,
}

impl Default for ClaimPace {
    fn default() -> ClaimPace {
        ClaimPace { limit: FIRST, has_more: false }
    }
}

impl ClaimPace {
    pub(crate) fn start_round(&mut self) {
        self.has_more = false;
    }

    pub(crate) fn allows(&self, decided: usize) -> bool {
        decided < self.limit
    }

    pub(crate) fn end_round(&mut self, decided: usize) {
        if !self.allows(decided) {
            self.has_more = true;
            self.limit = (2 * self.limit).min(MOST);
        }
    }

    /// A slot or units became free after the claims of this round.
    pub(crate) fn claim_again(&mut self) {
        self.has_more = true;
    }

    /// True if the next round may find steps to claim without waiting for anything.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }
}
