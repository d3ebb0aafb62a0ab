//! Steps of a run. A run may have 100,000 steps, so most lists omit children of fan-outs.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use stepwell_base::artifact::Outputs;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::StepStatus;

use super::reader::Reader;
use crate::decode::{Json, collect, collect_into, first};
use crate::error::StoreError;
use crate::rows::{AttemptedStep, NamedArtifact, StepRow, steps_where};

impl Reader {
    /// Steps in definition order, each fan-out followed by its children. Empty for an unknown run.
    pub fn steps(&self, id: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.query(|connection| {
            let sql = steps_where("run = ?1 ORDER BY position, item_index");
            let mut steps = collect(connection, &sql, [id.to_string()])?;
            let sql = "SELECT * FROM step_output WHERE run = ?1";
            add_outputs(&mut steps, collect(connection, sql, [id.to_string()])?);
            Ok(steps)
        })
    }

    /// The children of a fan-out, in order, without their outputs.
    pub fn children(&self, run: RunId, fan_out: &StepId) -> Result<Vec<StepRow>, StoreError> {
        let sql = steps_where("run = ?1 AND parent = ?2 ORDER BY item_index");
        self.query(|connection| collect(connection, &sql, [run.to_string().as_str(), fan_out.as_str()]))
    }

    /// Like [`Reader::steps`], but without the children of fan-outs that have more than `most` of them.
    pub fn overview(&self, id: RunId, most: u64) -> Result<Vec<StepRow>, StoreError> {
        self.with_children(id, "TRUE", |fan_out| match fan_out.children {
            Some(children) if children.total <= most => Some("1"),
            _ => None,
        })
    }

    /// Like [`Reader::overview`], plus the running children of larger fan-outs that have not ended.
    pub fn open_work(&self, id: RunId, most: u64) -> Result<Vec<StepRow>, StoreError> {
        self.with_children(id, "TRUE", |fan_out| match (fan_out.children, fan_out.status) {
            (Some(children), _) if children.total <= most => Some("1"),
            (Some(_), StepStatus::Expanded) => Some("status = 'running'"),
            _ => None,
        })
    }

    /// Steps that differ from those of a newly submitted run. Omits steps that wait for their needs, and children that
    /// succeeded or were skipped.
    pub fn unfinished(&self, id: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.with_children(id, "status <> 'pending'", |fan_out| match (fan_out.children, fan_out.status) {
            (None, _) | (_, StepStatus::Succeeded) => None,
            _ => Some("status NOT IN ('succeeded', 'skipped')"),
        })
    }

    /// Steps with a running attempt, without their outputs.
    pub fn running_steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let sql = steps_where("run = ?1 AND status = 'running' ORDER BY position, item_index");
        self.query(|connection| collect(connection, &sql, [run.to_string()]))
    }

    /// Steps with a running attempt, of a run and its descendants, each with its run.
    pub fn running_steps_of_family(&self, run: RunId) -> Result<Vec<(RunId, StepId)>, StoreError> {
        let sql = "WITH RECURSIVE family(id) AS (
                       VALUES (?1) UNION ALL SELECT run.id FROM family CROSS JOIN run ON run.parent_run = family.id)
                   SELECT step.run, step.id FROM family CROSS JOIN step ON step.run = family.id
                   WHERE step.status = 'running' ORDER BY step.run, step.position, step.item_index";
        self.query(|connection| collect(connection, sql, [run.to_string()]))
    }

    /// Steps that had attempts, in definition order; only `step` if given, with its items if it is a fan-out.
    pub fn attempted_steps(&self, run: RunId, step: Option<&StepId>) -> Result<Vec<AttemptedStep>, StoreError> {
        let one = if step.is_some() { "(id = ?2 OR parent = ?2)" } else { "?2 IS NULL" };
        let sql = format!(
            "SELECT id, item, attempts, status FROM step WHERE run = ?1 AND {one} AND attempts > 0
             ORDER BY position, item_index"
        );
        self.query(|connection| collect(connection, &sql, params![run.to_string(), step.map(StepId::as_str)]))
    }

    /// One step with its outputs.
    ///
    /// # Errors
    /// `UnknownStep`.
    pub fn step(&self, run: RunId, id: &StepId) -> Result<StepRow, StoreError> {
        let found = self.find_step(run, id)?;
        found.ok_or_else(|| StoreError::UnknownStep { run, step: id.clone() })
    }

    /// Like [`Reader::step`], for a run that may not have the step.
    pub fn find_step(&self, run: RunId, id: &StepId) -> Result<Option<StepRow>, StoreError> {
        self.query(|connection| load_step(connection, run, id))
    }

    /// Items and outputs of a fan-out's succeeded children, keyed by item index.
    pub fn child_outputs(&self, run: RunId, parent: &StepId) -> Result<BTreeMap<usize, (Value, Outputs)>, StoreError> {
        self.query(|connection| {
            let run = run.to_string();
            let key = [run.as_str(), parent.as_str()];
            let sql = "SELECT id, item_index, item, output_values FROM step
                       WHERE run = ?1 AND parent = ?2 AND status = 'succeeded'";
            let mut children: HashMap<StepId, (usize, (Value, Outputs))> = HashMap::new();
            type Row = (StepId, i64, Option<Json<Value>>, Option<Json<Map<String, Value>>>);
            for (id, index, item, values) in collect::<Row>(connection, sql, key)? {
                let values = values.map_or_else(Map::new, |Json(values)| values);
                let index = usize::try_from(index).unwrap_or_default();
                let item = item.map_or(Value::Null, |Json(item)| item);
                children.insert(id, (index, (item, Outputs { values, ..Outputs::default() })));
            }
            let sql = "SELECT step_output.* FROM step JOIN step_output ON step_output.run = step.run AND step = id
                       WHERE step.run = ?1 AND parent = ?2";
            for NamedArtifact { step, name, artifact } in collect(connection, sql, key)? {
                if let Some((_, (_, outputs))) = children.get_mut(&step) {
                    outputs.artifacts.insert(name, artifact);
                }
            }
            Ok(children.into_values().collect())
        })
    }

    /// The top-level steps that satisfy `chosen`, each followed by those of its children that satisfy its `condition`.
    fn with_children(
        &self,
        id: RunId,
        chosen: &str,
        condition: impl Fn(&StepRow) -> Option<&'static str>,
    ) -> Result<Vec<StepRow>, StoreError> {
        self.query(|connection| {
            let run = id.to_string();
            let sql = steps_where(&format!("run = ?1 AND parent IS NULL AND {chosen} ORDER BY position"));
            let mut steps = Vec::new();
            for step in collect::<StepRow>(connection, &sql, [&run])? {
                let (parent, condition) = (step.id.clone(), condition(&step));
                steps.push(step);
                if let Some(condition) = condition {
                    // Rows arrive mostly in order; sorting whole rows in SQLite costs as much as reading them.
                    let sql = steps_where(&format!("run = ?1 AND parent = ?2 AND {condition}"));
                    let first = steps.len();
                    let key = [run.as_str(), parent.as_str()];
                    collect_into(&mut steps, connection, &sql, key)?;
                    steps[first..].sort_by_key(|child| child.item_index);
                }
            }
            let mut outputs = Vec::new();
            for step in steps.iter().filter(|step| step.outputs.is_some()) {
                let sql = "SELECT * FROM step_output WHERE run = ?1 AND step = ?2";
                outputs.extend(collect(connection, sql, [run.as_str(), step.id.as_str()])?);
            }
            add_outputs(&mut steps, outputs);
            Ok(steps)
        })
    }
}

fn add_outputs(steps: &mut [StepRow], stored: Vec<NamedArtifact>) {
    let mut by_step: HashMap<StepId, Outputs> = HashMap::new();
    for NamedArtifact { step, name, artifact } in stored {
        by_step.entry(step).or_default().artifacts.insert(name, artifact);
    }
    for step in steps {
        if let (Some(outputs), Some(stored)) = (&mut step.outputs, by_step.remove(&step.id)) {
            outputs.artifacts = stored.artifacts;
        }
    }
}

/// Reads one step with its outputs.
pub(super) fn load_step(connection: &Connection, run: RunId, id: &StepId) -> Result<Option<StepRow>, StoreError> {
    let key = params![run.to_string(), id.as_str()];
    let sql = steps_where("run = ?1 AND id = ?2");
    let Some(mut step) = first::<StepRow>(connection, &sql, key)? else { return Ok(None) };
    let sql = "SELECT * FROM step_output WHERE run = ?1 AND step = ?2";
    let stored: Vec<NamedArtifact> = collect(connection, sql, key)?;
    if let Some(outputs) = &mut step.outputs {
        outputs.artifacts = stored.into_iter().map(|stored| (stored.name, stored.artifact)).collect();
    }
    Ok(Some(step))
}
