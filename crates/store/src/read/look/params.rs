//! The parameters of many runs, without the rest of their workflows.

use std::collections::HashMap;

use serde_json::{Map, Value};

use stepwell_base::ids::RunId;

use crate::decode::{Json, collect};
use crate::error::StoreError;
use crate::read::reader::Reader;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct RunParams {
    pub params: Map<String, Value>,
    /// The defaults of the params with other values; `None` for a run of a build that did not record them.
    pub defaults: Option<Map<String, Value>>,
}

impl RunParams {
    /// A param by its path into tables, such as `optimizer.lr`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut names = path.strip_prefix("params.").unwrap_or(path).split('.');
        let first = self.params.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }

    /// The params that differ from their defaults; `None` if those are unknown.
    pub fn changed(&self) -> Option<Map<String, Value>> {
        let defaults = self.defaults.as_ref()?;
        let changed = self.params.iter().filter(|(name, _)| defaults.contains_key(*name));
        Some(changed.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl Reader {
    /// Params of the given runs. Unlike [`Reader::spec`], does not check the digests of the workflows.
    pub fn params_of(&self, runs: &[RunId]) -> Result<HashMap<RunId, RunParams>, StoreError> {
        type Row = (RunId, Option<Json<Map<String, Value>>>, Option<Json<Map<String, Value>>>);
        let sql = "SELECT id, spec -> '$.params', spec -> '$.defaults' FROM run
                   WHERE id IN (SELECT value FROM json_each(?1))";
        let rows: Vec<Row> = self.query(|connection| collect(connection, sql, [Json(runs)]))?;
        let params = rows.into_iter().map(|(run, params, defaults)| {
            let params = params.map_or_else(Map::new, |Json(params)| params);
            (run, RunParams { params, defaults: defaults.map(|Json(defaults)| defaults) })
        });
        Ok(params.collect())
    }
}
