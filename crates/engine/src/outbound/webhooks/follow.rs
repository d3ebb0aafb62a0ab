//! Follows the event log for one receiver.

use super::messages;
use stepwell_store::{NewMessage, Store, StoreError};
use stepwell_workflow::webhook::Webhook;

/// Events that are looked at together.
const PAGE: u32 = 500;
/// Events without a message after which the cursor is worth a commit: a new start looks at them again.
const WORTH_A_COMMIT: i64 = 5000;

/// The place of a receiver in the log.
pub(super) struct Follower {
    /// Newest event that was looked at.
    seen: i64,
    /// Read from the database.
    stored: i64,
}

impl Follower {
    /// # Errors
    /// Those of the store.
    pub(super) fn open(store: &mut Store, webhook: &Webhook) -> Result<Follower, StoreError> {
        let stored = store.event_cursor(&webhook.name, &webhook.wanted())?;
        Ok(Follower { seen: stored, stored })
    }

    /// Stores the messages of all events that are new.
    ///
    /// # Errors
    /// Those of the store; what was not stored is looked at again.
    pub(super) fn catch_up(&mut self, store: &mut Store, webhook: &Webhook) -> Result<(), StoreError> {
        loop {
            let page = store.reader().hashed_events(self.seen, PAGE)?;
            let Some(last) = page.last().map(|event| event.row.seq) else { return Ok(()) };
            let mut found: Vec<NewMessage> = Vec::new();
            for event in page.iter().filter(|event| messages::concerns(&event.row.event)) {
                found.extend(messages::messages(store.reader(), event, webhook)?);
            }
            self.move_to(store, webhook, last, &found)?;
        }
    }

    fn move_to(
        &mut self,
        store: &mut Store,
        webhook: &Webhook,
        to: i64,
        found: &[NewMessage],
    ) -> Result<(), StoreError> {
        if !found.is_empty() || to - self.stored >= WORTH_A_COMMIT {
            if !store.advance_cursor(&webhook.name, (self.stored, to), found)? {
                // Another process follows the log for this receiver, too.
                *self = Follower::open(store, webhook)?;
                return Ok(());
            }
            self.stored = to;
        }
        self.seen = to;
        Ok(())
    }
}
