//! Summarises the compute and cost of a run, its budget, time left, deadline and alerts.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fan_out::MOST_CHILDREN;
use super::work_time::{self, WorkClock};
use crate::error::CliError;
use stepwell_base::duration::later;
use stepwell_run::estimate::{Estimate, Task, Work, estimate};
use stepwell_run::event::{Event, RunEvent};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{Reader, RunLimits, RunRow, StepRow};
use stepwell_workflow::budget::hours;

/// Steps of a workflow whose time left is estimated; to read more at each look would take too long.
const MOST_TOP: u64 = 5000;

pub struct Effort {
    compute: SignedDuration,
    cost: Option<f64>,
    cap: Option<std::time::Duration>,
    maximum_cost: Option<f64>,
    deadline: Option<Timestamp>,
    estimate: Option<Estimate>,
    alerts: Vec<(&'static str, String, Timestamp)>,
}

pub fn effort(reader: &Reader, run: &RunRow, slots: usize) -> Result<Effort, CliError> {
    let now = Timestamp::now();
    let clock = WorkClock::new(reader, Some(run.id));
    let RunLimits { mut budget, sla } = reader.limits_of(run.id)?;
    let mut alerts = Vec::new();
    for notice in reader.notices(run.id)? {
        match notice.event {
            Event::Run(RunEvent::Alerted { alert, message }) => alerts.push((alert.as_str(), message, notice.at)),
            Event::Run(RunEvent::BudgetRaised { budget: raised }) => budget = raised,
            _ => {}
        }
    }
    let mut compute = reader.compute(run.id)? + reader.compute_of_descendants(run.id)?;
    let mut left = None;
    if !run.status.is_terminal() {
        let is_small = reader.step_counts(run.id)?.top <= MOST_TOP;
        let steps = if is_small { reader.open_work(run.id, MOST_CHILDREN)? } else { reader.running_steps(run.id)? };
        compute += steps.iter().map(|step| clock.running(step)).fold(SignedDuration::ZERO, |sum, one| sum + one);
        compute += working(reader.leases_of_descendants(run.id)?.into_iter(), now);
        // Only a running run makes progress.
        if run.status == RunStatus::Running && is_small {
            left = estimate(&tasks(reader, run, &steps)?, slots, now);
        }
    }
    Ok(Effort {
        compute,
        cost: budget.cost(compute),
        cap: budget.cap(),
        maximum_cost: budget.maximum_cost,
        deadline: sla.map(|sla| later(run.created_at, sla.finish_within)),
        estimate: left,
        alerts,
    })
}

fn working(leases: impl Iterator<Item = (Timestamp, Timestamp)>, now: Timestamp) -> SignedDuration {
    leases.map(|(start, expires)| now.min(expires).duration_since(start)).fold(SignedDuration::ZERO, |sum, w| sum + w)
}

fn tasks(reader: &Reader, run: &RunRow, steps: &[StepRow]) -> Result<Vec<Task>, CliError> {
    let usual = reader.usual_durations(run.id)?;
    // Children follow their parent directly and share its position.
    let mut position: Option<usize> = None;
    let mut tasks: Vec<Task> = Vec::new();
    for step in steps {
        if step.parent.is_none() {
            position = Some(position.map_or(0, |position| position + 1));
        }
        let work = match step.status {
            StepStatus::Running => Work::Running {
                since: step.attempt_started_at.or(step.started_at).unwrap_or(Timestamp::UNIX_EPOCH),
                progress: step.progress,
            },
            status if status.is_terminal() => Work::Done,
            _ => Work::Waiting,
        };
        let usual = position.and_then(|position| usual.get(&position).copied());
        let task =
            Task { id: step.id.clone(), needs: step.needs.clone(), parent: step.parent.clone(), work, usual, times: 1 };
        if let (StepStatus::Expanded, Some(children)) = (step.status, step.children)
            && children.total > MOST_CHILDREN
        {
            // Running children count twice, but they are few.
            let waiting = children.total.saturating_sub(children.done + children.failed);
            let times = u32::try_from(waiting).unwrap_or(u32::MAX);
            let (id, parent) = (step.id.child(usize::MAX), Some(step.id.clone()));
            tasks.push(Task { id, needs: Vec::new(), parent, work: Work::Waiting, usual, times });
        }
        tasks.push(task);
    }
    Ok(tasks)
}

impl Effort {
    pub fn compute(&self) -> SignedDuration {
        self.compute
    }

    /// Lines such as `budget    1.2 h of 10.0 h`.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        if !self.compute.is_zero() {
            text.push_str(&format!("time      {} of work\n", work_time::text(Some(self.compute))));
        }
        if let Some(estimate) = self.estimate {
            let more = if estimate.complete { "" } else { " or more" };
            text.push_str(&format!("left      about {}{more}\n", hours(estimate.left.as_secs_f64())));
        }
        if let Some(cap) = self.cap {
            let (used, cap) = (hours(self.compute.as_secs_f64()), hours(cap.as_secs_f64()));
            text.push_str(&format!("budget    {used} of {cap} of compute\n"));
        }
        if let Some(cost) = self.cost {
            let of = self.maximum_cost.map(|limit| format!(" of {limit}")).unwrap_or_default();
            text.push_str(&format!("cost      {cost:.2}{of}\n"));
        }
        if let Some(deadline) = self.deadline {
            text.push_str(&format!("deadline  {}\n", deadline.strftime("%Y-%m-%d %H:%M:%SZ")));
        }
        for (_, message, at) in &self.alerts {
            text.push_str(&format!("alert     {} {message}\n", at.strftime("%Y-%m-%d %H:%M:%SZ")));
        }
        text
    }

    pub fn seconds_left(&self) -> Option<f64> {
        self.estimate.map(|estimate| estimate.left.as_secs_f64())
    }

    /// The estimated time to the end, such as `about 3.0 min`.
    pub fn remaining(&self) -> Option<String> {
        self.estimate.map(|estimate| format!("about {}", hours(estimate.left.as_secs_f64())))
    }

    pub fn json(&self) -> Value {
        let alerts = self.alerts.iter();
        json!({
            "compute_seconds": self.compute.as_secs_f64(),
            "maximum_compute_seconds": self.cap.map(|cap| cap.as_secs_f64()),
            "cost": self.cost,
            "maximum_cost": self.maximum_cost,
            "deadline": self.deadline,
            "estimated_seconds_left": self.estimate.map(|estimate| estimate.left.as_secs_f64()),
            "estimate_is_complete": self.estimate.map(|estimate| estimate.complete),
            "alerts": alerts.map(|(alert, message, at)| json!({ "alert": alert, "message": message, "at": at }))
                .collect::<Vec<_>>(),
        })
    }
}
