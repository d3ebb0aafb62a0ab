//! Names for runs that nobody has named.

use stepwell_base::names::RunName;

use super::reader::Reader;
use crate::decode::{collect, exists};
use crate::error::StoreError;

impl Reader {
    /// A name that no run has: the workflow's name and a number, such as `pretrain-3` for the third run of `pretrain`.
    pub fn free_name(&self, workflow: &str) -> Result<RunName, StoreError> {
        let sql = "SELECT count(*) FROM run WHERE workflow = ?1";
        let runs: Vec<u64> = self.query(|connection| collect(connection, sql, [workflow]))?;
        self.first_free(workflow, runs.first().copied().unwrap_or(0) + 1)
    }

    /// A name that no run has for another run of `name`: the name and a number from 2 on.
    pub fn next_name(&self, name: &str) -> Result<RunName, StoreError> {
        self.first_free(name, 2)
    }

    fn first_free(&self, base: &str, from: u64) -> Result<RunName, StoreError> {
        let mut number = from;
        loop {
            let name = RunName::numbered(base, number);
            let sql = "SELECT 1 FROM run WHERE name = ?1 LIMIT 1";
            if !self.query(|connection| exists(connection, sql, [name.as_str()]))? {
                return Ok(name);
            }
            number += 1;
        }
    }
}
