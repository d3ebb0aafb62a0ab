//! Budgets and alerts.

use std::collections::HashMap;

use stepwell_base::ids::RunId;
use stepwell_run::event::{Alert, Event, RunEvent};
use stepwell_workflow::budget::Budget;

use super::reader::Reader;
use crate::decode::{Json, collect};
use crate::error::StoreError;
use crate::rows::EventRow;

impl Reader {
    /// Limits in force: those of the workflow, or the newest values that a person raised them to.
    pub fn budget(&self, run: RunId) -> Result<Budget, StoreError> {
        let mut budget = self.spec(run)?.budget;
        for notice in self.notices(run)? {
            if let Event::Run(RunEvent::BudgetRaised { budget: raised }) = notice.event {
                budget = raised;
            }
        }
        Ok(budget)
    }

    /// Alerts and raised budgets of a run, oldest first.
    pub fn notices(&self, run: RunId) -> Result<Vec<EventRow>, StoreError> {
        self.query(|connection| {
            let sql =
                "SELECT * FROM event WHERE run = ?1 AND kind IN ('run_alerted', 'run_budget_raised') ORDER BY seq";
            collect(connection, sql, [run.to_string()])
        })
    }

    /// Alerts of the given runs, oldest first.
    pub fn alerts(&self, runs: &[RunId]) -> Result<HashMap<RunId, Vec<Alert>>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM event WHERE run IN (SELECT value FROM json_each(?1))
                       AND kind IN ('run_alerted', 'run_budget_raised') AND kind = 'run_alerted' ORDER BY run, seq";
            let mut alerts: HashMap<RunId, Vec<Alert>> = HashMap::new();
            for row in collect::<EventRow>(connection, sql, [Json(runs)])? {
                if let Event::Run(RunEvent::Alerted { alert, .. }) = row.event {
                    alerts.entry(row.run).or_default().push(alert);
                }
            }
            Ok(alerts)
        })
    }
}
