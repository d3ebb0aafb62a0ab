//! The part of a migration that SQL cannot do: it changes rows under the seal.
//!
//! It ends with `user_version`, in the same transaction. After a kill before that, the database still has its older version, and
//! the next open repeats the conversion.

use rusqlite::{Connection, TransactionBehavior, params};

use super::migrate::SUPPORTED;
use crate::decode::collect;
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};

/// Ended the stored name of a token of scope `infer` up to schema 12, whose tables did not know the scope. No name has this
/// character.
const INFER_MARK: &str = "\u{1f}infer";

pub(super) fn finish(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let marked = "SELECT hash FROM token WHERE substr(name, -length(?1)) = ?1";
    for hash in collect::<String>(&transaction, marked, [INFER_MARK])? {
        let rows = Rows { table: "token", column: "hash", key: &hash };
        let sql = "UPDATE token SET name = substr(name, 1, length(name) - length(?2)), scope = 'infer' WHERE hash = ?1";
        seal::change(&transaction, rows, sql, params![hash, INFER_MARK])?;
    }
    transaction.pragma_update(None, "user_version", SUPPORTED)?;
    // No failpoint: `store.migrate` is around this one, and a test kills it at every statement.
    Ok(transaction.commit()?)
}
