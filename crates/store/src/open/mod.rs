//! Opens a state directory: settings, the engine lock, migrations, and a WAL that is safe to append to.

pub(crate) mod connection;
mod convert;
pub(crate) mod lock;
pub(crate) mod migrate;
pub(crate) mod settings;
mod wal;
