//! Stores which ended runs a notifier still has to be told about, in the transaction that ends them.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use stepwell_base::ids::RunId;

use crate::batch::Batch;
use crate::decode::time_text;
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};

pub(in crate::write) fn write(connection: &Connection, batch: &Batch<'_>) -> Result<(), StoreError> {
    for (run, at) in batch.to_tell {
        let sql = "INSERT INTO notification (run, at) VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET at = excluded.at";
        change(connection, *run, *at, sql)?;
    }
    for (run, at) in batch.told {
        // A run that was resumed in the meantime has ended again.
        change(connection, *run, *at, "DELETE FROM notification WHERE run = ?1 AND at = ?2")?;
    }
    Ok(())
}

fn change(connection: &Connection, run: RunId, at: Timestamp, sql: &str) -> Result<(), StoreError> {
    let run = run.to_string();
    let row = Rows { table: "notification", column: "run", key: &run };
    seal::change(connection, row, sql, params![run, time_text(at)])?;
    Ok(())
}
