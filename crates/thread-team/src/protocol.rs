//! The orderings of the handshake between the caller and the team's threads.

use super::sync::Ordering;

/// Orderings and steps that the handshake needs. A trait, so that the loom tests can weaken one at a time and show that
/// they notice.
pub trait Protocol: 'static {
    /// Opening work. Publishes the work and everything that the caller wrote before.
    const OPEN: Ordering = Ordering::Release;
    /// Joining work. Sees what [`Protocol::OPEN`] published.
    const JOIN: Ordering = Ordering::Acquire;
    /// Leaving work. Publishes everything that the thread wrote in it.
    const LEAVE: Ordering = Ordering::Release;
    /// The caller's look at the number of active threads. Sees what [`Protocol::LEAVE`] published.
    const CLOSE: Ordering = Ordering::Acquire;
    /// Becoming the only caller. Sees what the previous caller did to the team.
    const ACQUIRE_TEAM: Ordering = Ordering::Acquire;
    /// The end of the only caller.
    const RELEASE_TEAM: Ordering = Ordering::Release;
    /// Fence between opening work and the look at the sleepers, and between falling asleep and the look at the work. At
    /// least one of the two threads sees what the other wrote before its fence, so no wake-up is lost.
    const SLEEP_FENCE: Ordering = Ordering::SeqCst;
    /// The caller takes the sleepers' lock before it wakes them: a thread that has seen no work already waits then.
    const LOCKS_TO_WAKE: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub struct Sound;

impl Protocol for Sound {}
