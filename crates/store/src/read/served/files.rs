//! Files by id and in pages.

use jiff::Timestamp;
use rusqlite::params;

use stepwell_base::artifact::ArtifactRef;

use crate::decode::{collect, first, time_text};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::FileRow;

/// Which files a page lists, by age.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilePage {
    /// Only those that the order has after this one.
    pub after: Option<(Timestamp, String)>,
    pub order: Order,
    pub purpose: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

impl Reader {
    pub fn file(&self, id: &str) -> Result<Option<FileRow>, StoreError> {
        self.query(|connection| first(connection, "SELECT * FROM file WHERE id = ?1", [id]))
    }

    pub fn file_page(&self, page: &FilePage, most: usize) -> Result<Vec<FileRow>, StoreError> {
        let (compared, direction) = match page.order {
            Order::OldestFirst => (">", "ASC"),
            Order::NewestFirst => ("<", "DESC"),
        };
        let sql = format!(
            "SELECT * FROM file WHERE (?1 IS NULL OR (created_at, id) {compared} (?1, ?2)) AND (?3 IS NULL OR purpose = ?3)
             ORDER BY created_at {direction}, id {direction} LIMIT ?4"
        );
        let (at, id) = page.after.as_ref().map(|(at, id)| (time_text(*at), id)).unzip();
        let values = params![at, id, page.purpose, i64::try_from(most).unwrap_or(i64::MAX)];
        self.query(|connection| collect(connection, &sql, values))
    }

    /// Files whose time is over, at most `most` of them.
    pub fn expired_files(&self, now: Timestamp, most: usize) -> Result<Vec<FileRow>, StoreError> {
        let sql = "SELECT * FROM file WHERE expires_at <= ?1 LIMIT ?2";
        let values = params![time_text(now), i64::try_from(most).unwrap_or(i64::MAX)];
        self.query(|connection| collect(connection, sql, values))
    }

    /// Content that files and unfinished batches need, whatever happens to runs.
    pub fn served_content(&self) -> Result<Vec<ArtifactRef>, StoreError> {
        let sql = "SELECT digest, size, media_type FROM file
                   UNION SELECT input ->> 'digest', input ->> 'size', input ->> 'media_type' FROM batch
                         WHERE ending IS NULL";
        self.query(|connection| collect(connection, sql, []))
    }
}
