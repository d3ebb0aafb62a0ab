//! Rows of decisions, signals and waiting steps.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Ruling, Verdict, Wait};
use stepwell_run::state::Signal;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct DecisionRow {
    /// Number of its event.
    pub seq: i64,
    pub step: StepId,
    pub at: Timestamp,
    pub ruling: Ruling,
}

#[derive(Clone, PartialEq, Debug)]
pub struct SignalRow {
    /// Number of its event.
    pub seq: i64,
    pub signal: Signal,
    /// The step that consumed it.
    pub taken_by: Option<StepId>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct WaitRow {
    pub run: RunId,
    pub step: StepId,
    pub wait: Wait,
}

columns! {
    pub(crate) struct DecisionColumns { seq, step, at, rule, inputs, verdict, approver, comment }
}

impl FromRow for DecisionRow {
    type Columns = DecisionColumns;

    fn from_row(row: &Row<'_>, columns: &DecisionColumns) -> Result<DecisionRow, StoreError> {
        // The table allows only these two verdicts.
        let is_approved = columns.verdict.text(row)? == Verdict::Approved.as_str();
        Ok(DecisionRow {
            seq: columns.seq.get(row)?,
            step: columns.step.get(row)?,
            at: columns.at.get(row)?,
            ruling: Ruling {
                rule: columns.rule.get(row)?,
                inputs: columns.inputs.json(row)?,
                verdict: if is_approved { Verdict::Approved } else { Verdict::Rejected },
                approver: columns.approver.get(row)?,
                comment: columns.comment.get(row)?,
            },
        })
    }
}

columns! {
    pub(crate) struct FreeSignalColumns { name, payload }
}

impl FromRow for Signal {
    type Columns = FreeSignalColumns;

    fn from_row(row: &Row<'_>, columns: &FreeSignalColumns) -> Result<Signal, StoreError> {
        Ok(Signal { name: columns.name.get(row)?, payload: columns.payload.json(row)? })
    }
}

columns! {
    pub(crate) struct SignalColumns { seq, name, payload, taken_by }
}

impl FromRow for SignalRow {
    type Columns = SignalColumns;

    fn from_row(row: &Row<'_>, columns: &SignalColumns) -> Result<SignalRow, StoreError> {
        Ok(SignalRow {
            seq: columns.seq.get(row)?,
            signal: Signal { name: columns.name.get(row)?, payload: columns.payload.json(row)? },
            taken_by: columns.taken_by.get(row)?,
        })
    }
}

columns! {
    pub(crate) struct WaitColumns { run, id, wait }
}

impl FromRow for WaitRow {
    type Columns = WaitColumns;

    fn from_row(row: &Row<'_>, columns: &WaitColumns) -> Result<WaitRow, StoreError> {
        Ok(WaitRow { run: columns.run.get(row)?, step: columns.id.get(row)?, wait: columns.wait.json(row)? })
    }
}
