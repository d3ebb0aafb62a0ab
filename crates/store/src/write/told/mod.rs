//! What the world outside still has to be told, and what it has been told.

pub(super) mod notifications;
pub(super) mod webhooks;
