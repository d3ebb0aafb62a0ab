//! Events outside the engine, and their times.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::inbox::Message;

#[derive(Debug)]
pub(super) enum Happening {
    /// The worker does the next thing in its script.
    Act(u32),
    Beat(u32),
    /// The listener of a dead worker tells its end.
    Ended(u32),
    /// A worker notices late that its engine is gone.
    Notices(u32),
    /// A message arrives late, repeats, or comes from a worker that has lost its attempt.
    Message(Message),
    Wish,
    Wake,
    Signal(i32),
    Crash,
    FullDisk,
    SetClock(SignedDuration),
    /// The engine is stopped for a while (Ctrl-Z), but its workers continue.
    StopEngine(Duration),
    /// The whole computer sleeps.
    Sleep(Duration),
    /// Faults end: from now on everything must end.
    Heal,
}

impl Happening {
    /// True for events that a sleeping computer delays.
    fn sleeps(&self) -> bool {
        matches!(self, Happening::Act(_) | Happening::Beat(_) | Happening::Ended(_) | Happening::Notices(_))
    }
}

#[derive(Default)]
pub(super) struct Agenda {
    entries: BTreeMap<(Duration, u64), Happening>,
    next: u64,
}

impl Agenda {
    pub fn add(&mut self, at: Duration, happening: Happening) {
        self.entries.insert((at, self.next), happening);
        self.next += 1;
    }

    pub fn has_wake(&self) -> bool {
        self.entries.values().any(|happening| matches!(happening, Happening::Wake))
    }

    pub fn first(&self) -> Option<Duration> {
        self.entries.keys().next().map(|(at, _)| *at)
    }

    pub fn pop(&mut self) -> Option<(Duration, Happening)> {
        self.entries.pop_first().map(|((at, _), happening)| (at, happening))
    }

    pub fn retain(&mut self, keep: impl Fn(&Happening) -> bool) {
        self.entries.retain(|_, happening| keep(happening));
    }

    pub fn delay_sleepers(&mut self, span: Duration) {
        let sleepers: Vec<_> = self.entries.extract_if(.., |_, happening| happening.sleeps()).collect();
        self.entries.extend(sleepers.into_iter().map(|((at, order), happening)| ((at + span, order), happening)));
    }
}
