//! The content of a message about one subject.

use super::content::Content;
use stepwell_run::event::Event;
use stepwell_store::{HashedEvent, Reader, StoreError};

/// Things that receivers hear about.
pub(super) trait Subject: Sync {
    /// False if no message comes of this event. Asked for every event, so it must be quick.
    fn concerns(&self, event: &Event) -> bool;

    /// The event as receivers get it. The run may have got further since.
    fn contents(&self, reader: &Reader, event: &HashedEvent) -> Result<Vec<Content>, StoreError>;
}
