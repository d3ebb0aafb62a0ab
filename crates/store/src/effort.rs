//! Queries about the work that runs have used, their budgets and alerts, and the usual duration of steps.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Alert, Event};
use stepwell_workflow::budget::Budget;
use stepwell_workflow::pools::Held;

use super::decode::{self, collect, first, json_text};
use super::error::StoreError;
use super::reader::Reader;
use super::rows::EventRow;

/// Runs of a workflow, the asked one included, whose steps count toward usual durations.
const RUNS: i64 = 5;
/// Descendants of the run `?1`: its child runs, their child runs, and so on.
const BELOW: &str = "WITH RECURSIVE below(id) AS (
    SELECT id FROM run WHERE parent_run = ?1
    UNION ALL SELECT run.id FROM below CROSS JOIN run ON run.parent_run = below.id)";

impl Reader {
    /// Total work of all ended attempts. A fan-out's row already includes its children.
    pub fn compute(&self, run: RunId) -> Result<SignedDuration, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT coalesce(sum(compute_ms), 0) AS total FROM step WHERE run = ?1 AND parent IS NULL";
            let total = first(connection, sql, [run.to_string()], |row| decode::get::<i64>(row, "total"))?;
            Ok(SignedDuration::from_millis(total.unwrap_or(0)))
        })
    }

    /// Like [`Reader::compute`], summed over all descendants of a run.
    pub fn compute_below(&self, run: RunId) -> Result<SignedDuration, StoreError> {
        self.ask(|connection| {
            let sql = format!(
                "{BELOW} SELECT coalesce(sum(compute_ms), 0) AS total
                 FROM below CROSS JOIN step ON step.run = below.id AND step.parent IS NULL"
            );
            let total = first(connection, &sql, [run.to_string()], |row| decode::get::<i64>(row, "total"))?;
            Ok(SignedDuration::from_millis(total.unwrap_or(0)))
        })
    }

    /// Attempt start and lease end of each running attempt in the descendants of a run.
    pub fn leases_below(&self, run: RunId) -> Result<Vec<(Timestamp, Timestamp)>, StoreError> {
        self.ask(|connection| {
            let sql = format!(
                "{BELOW} SELECT attempt_started_at, lease_expires_at FROM below CROSS JOIN step ON step.run = below.id
                 WHERE step.status = 'running'"
            );
            collect(connection, &sql, [run.to_string()], |row| {
                Ok((decode::parse(row, "attempt_started_at")?, decode::parse(row, "lease_expires_at")?))
            })
        })
    }

    /// The run whose step started this one, then that run's parent, and so on up.
    pub fn ancestors(&self, run: RunId) -> Result<Vec<RunId>, StoreError> {
        self.ask(|connection| {
            let sql = "WITH RECURSIVE above(id, height) AS (
                           SELECT parent_run, 1 FROM run WHERE id = ?1
                           UNION ALL SELECT parent_run, height + 1 FROM above CROSS JOIN run ON run.id = above.id)
                       SELECT id FROM above WHERE id IS NOT NULL ORDER BY height";
            collect(connection, sql, [run.to_string()], |row| decode::parse(row, "id"))
        })
    }

    /// Limits in force: those of the workflow, or the newest values that a person raised them to.
    pub fn budget(&self, run: RunId) -> Result<Budget, StoreError> {
        let mut budget = self.spec(run)?.budget;
        for notice in self.notices(run)? {
            if let Event::RunBudgetRaised { budget: raised } = notice.event {
                budget = raised;
            }
        }
        Ok(budget)
    }

    /// Alerts and raised budgets of a run, oldest first.
    pub fn notices(&self, run: RunId) -> Result<Vec<EventRow>, StoreError> {
        self.ask(|connection| {
            let sql =
                "SELECT * FROM event WHERE run = ?1 AND kind IN ('run_alerted', 'run_budget_raised') ORDER BY seq";
            collect(connection, sql, [run.to_string()], decode::event)
        })
    }

    /// Alerts of the given runs, oldest first.
    pub fn alerts(&self, runs: &[RunId]) -> Result<HashMap<RunId, Vec<Alert>>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT * FROM event WHERE run IN (SELECT value FROM json_each(?1))
                       AND kind IN ('run_alerted', 'run_budget_raised') AND kind = 'run_alerted' ORDER BY run, seq";
            let mut alerts: HashMap<RunId, Vec<Alert>> = HashMap::new();
            for row in collect(connection, sql, [json_text(&runs)?], decode::event)? {
                if let Event::RunAlerted { alert, .. } = row.event {
                    alerts.entry(row.run).or_default().push(alert);
                }
            }
            Ok(alerts)
        })
    }

    /// Average duration of equal steps, keyed by the step's position, over this run (children of a fan-out) and the
    /// newest earlier runs of the workflow.
    pub fn usual_durations(&self, run: RunId) -> Result<HashMap<usize, Duration>, StoreError> {
        self.ask(|connection| {
            // A fan-out's row holds the sums of its children and has no attempts of its own.
            let sql = "WITH timed AS (
                           SELECT own.position,
                                  step.children_timed + (step.status = 'succeeded' AND step.attempts > 0) AS steps,
                                  step.children_timed_ms
                                      + iif(step.status = 'succeeded' AND step.attempts > 0, step.compute_ms, 0) AS ms
                           FROM (SELECT id FROM run WHERE workflow = (SELECT workflow FROM run WHERE id = ?1)
                                 AND id <= ?1 ORDER BY id DESC LIMIT ?2) AS earlier
                           CROSS JOIN step ON step.run = earlier.id AND step.parent IS NULL
                           CROSS JOIN step AS own ON own.run = ?1 AND own.position = step.position
                                                     AND own.parent IS NULL AND own.kind = step.kind)
                       SELECT position, sum(ms) * 1.0 / sum(steps) AS average FROM timed
                       GROUP BY position HAVING sum(steps) > 0";
            let rows = collect(connection, sql, params![run.to_string(), RUNS], |row| {
                Ok((decode::get::<i64>(row, "position")?, decode::get::<f64>(row, "average")?))
            })?;
            let usual = rows.into_iter().filter_map(|(position, milliseconds)| {
                let duration = Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?;
                Some((usize::try_from(position).ok()?, duration))
            });
            Ok(usual.collect())
        })
    }

    /// Running steps of all runs, each with its run's name.
    pub fn all_running_steps(&self) -> Result<Vec<(String, StepId)>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT run.name, step.id FROM run JOIN step ON step.run = run.id
                       WHERE run.status IN ('pending', 'running', 'interrupted', 'paused', 'canceling')
                       AND step.status = 'running' ORDER BY run.id, step.position, step.item_index";
            collect(connection, sql, [], |row| Ok((decode::get(row, "name")?, StepId(decode::get(row, "id")?))))
        })
    }

    /// Pool units that running attempts hold, each with its run's name.
    pub fn held_units(&self) -> Result<Vec<(String, StepId, Held)>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT run.name, step.id, step.resources FROM step JOIN run ON run.id = step.run
                       WHERE step.status = 'running' AND step.resources IS NOT NULL ORDER BY run.id, step.position";
            collect(connection, sql, [], |row| {
                let held = decode::json(row, "resources")?;
                Ok((decode::get(row, "name")?, StepId(decode::get(row, "id")?), held))
            })
        })
    }

    /// Starts of rate-limited attempts since a time, oldest first, each with the limit's name. Reads the log backwards,
    /// only as far as needed.
    pub fn limited_starts(&self, since: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let mut started = Vec::new();
        self.stream("SELECT * FROM event ORDER BY seq DESC", [], |row| {
            if row.at < since {
                return ControlFlow::Break(());
            }
            if let Event::AttemptStarted { step, .. } = row.event {
                started.push((row.run, step, row.at));
            }
            ControlFlow::Continue(())
        })?;
        let mut limited = Vec::new();
        for (run, step, at) in started.into_iter().rev() {
            if let Some(name) = self.rate_limit_of(run, &step)? {
                limited.push((name, at));
            }
        }
        Ok(limited)
    }

    fn rate_limit_of(&self, run: RunId, step: &StepId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT run.spec ->> ('$.steps[' || step.position || '].rate_limit') AS name
                   FROM step JOIN run ON run.id = step.run WHERE step.run = ?1 AND step.id = ?2";
        let found = self.ask(|connection| {
            first(connection, sql, params![run.to_string(), step.as_str()], |row| decode::get(row, "name"))
        })?;
        Ok(found.flatten())
    }
}
