//! The process's thread team: as many threads as rayon's pool, so one variable sets both.

use std::sync::OnceLock;

use stepwell_thread_team::Team;

/// Number of threads that share work.
pub fn threads() -> usize {
    current().threads()
}

/// [`Team::each`] of the process's team.
pub fn each<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send>,
{
    current().each(items, work);
}

/// [`Team::map`] of the process's team.
pub fn map<I, R: Send>(items: I, work: impl Fn(I::Item) -> R + Sync) -> Vec<R>
where
    I: IntoIterator<IntoIter: Send>,
{
    current().map(items, work)
}

fn current() -> &'static Team {
    static TEAM: OnceLock<&Team> = OnceLock::new();
    #[cfg(test)]
    if let Some(team) = replaced::TEAM.get() {
        return team;
    }
    TEAM.get_or_init(|| Team::start(rayon::current_num_threads(), |_| ()))
}

#[cfg(test)]
pub use replaced::with_threads;

#[cfg(test)]
mod replaced {
    use std::cell::Cell;
    use std::sync::{Mutex, PoisonError};

    use super::Team;

    thread_local! {
        pub(super) static TEAM: Cell<Option<&'static Team>> = const { Cell::new(None) };
    }

    /// Teams that no test uses. Kept for reuse, because a team's threads live as long as the process.
    static IDLE: Mutex<Vec<&Team>> = Mutex::new(Vec::new());

    /// Returns the team, also when a test fails.
    struct Borrowed {
        team: &'static Team,
        before: Option<&'static Team>,
    }

    impl Drop for Borrowed {
        fn drop(&mut self) {
            TEAM.set(self.before);
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self.team);
        }
    }

    /// Runs `work` with a team of `threads` threads other than the process's.
    pub fn with_threads<R>(threads: usize, work: impl FnOnce() -> R) -> R {
        let idle = {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            let found = idle.iter().position(|team| team.threads() == threads);
            found.map(|index| idle.swap_remove(index))
        };
        let team = idle.unwrap_or_else(|| Team::start(threads, |team| TEAM.set(Some(team))));
        let _borrowed = Borrowed { team, before: TEAM.replace(Some(team)) };
        work()
    }
}
