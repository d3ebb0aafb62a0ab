//! Jobs of Slurm. The key of an attempt is the name of its job, and the folder of the attempt its comment, so a job is found without
//! its number. Slurm never starts a job again by itself: another start is another attempt, from the newest checkpoint.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stepwell_base::failure::Failure;
use stepwell_base::shell::quote;
use stepwell_workflow::executor::Slurm;

use super::binary::copy_in;
use super::folder::AGENT_LOG;
use super::host::{Host, HostError, JobState, Place};
use super::messages::Job;
use super::program::{Printed, run};
use crate::executors::executor::Exit;

/// Longest time for an answer of a Slurm command: a busy controller takes many seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Time for which one list of jobs answers for all attempts.
const FRESH: Duration = Duration::from_millis(500);
/// Slurm warns a job so long before its time is over or it is preempted: time for a checkpoint.
const WARNING: &str = "--signal=B:TERM@60";
const SCRIPT: &str = "job.sh";

/// States in which a job has not started.
const WAITING: [&str; 5] = ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED"];
const RUNNING: [&str; 8] =
    ["RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING", "SPECIAL_EXIT"];
/// Reasons for waiting that pass by themselves.
const ORDINARY: [&str; 6] = ["None", "Priority", "Resources", "BeginTime", "Cleaning", "JobArrayTaskLimit"];

pub(super) struct SlurmHost {
    config: Slurm,
    state_dir: PathBuf,
    cluster: Cluster,
    /// When this attempt was last submitted or killed: an older list says nothing about it.
    changed_at: Instant,
}

/// The newest list of jobs, shared by all attempts.
#[derive(Clone, Default)]
pub(super) struct Cluster(Arc<Mutex<Option<Listed>>>);

/// What `squeue` said, and when it was asked.
type Listed = (Instant, Vec<Row>);

/// One job of `squeue`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    number: String,
    state: String,
    reason: String,
    name: String,
    comment: String,
}

impl SlurmHost {
    pub(super) fn new(config: Slurm, state_dir: PathBuf, cluster: &Cluster) -> SlurmHost {
        SlurmHost { config, state_dir, cluster: cluster.clone(), changed_at: Instant::now() }
    }

    /// Jobs of the attempt, those that may still run first.
    fn jobs(&self, place: &Place) -> Result<Vec<Row>, HostError> {
        let mut listed = self.cluster.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |at: &Instant| at.elapsed() < FRESH && *at > self.changed_at;
        if !listed.as_ref().is_some_and(|(at, _)| is_fresh(at)) {
            let at = Instant::now();
            let mut command = Command::new("squeue");
            command.args(["--noheader", "--me", "--states=all", "--format=%i|%T|%r|%j|%k"]);
            let printed = answered(run(command, std::io::empty(), LIMIT)?, "squeue")?;
            *listed = Some((at, rows(&String::from_utf8_lossy(&printed.out))));
        }
        let (key, folder) = (place.key(), place.folder.path().to_string_lossy().into_owned());
        let rows = listed.iter().flat_map(|(_, rows)| rows).filter(|row| row.name == key && row.comment == folder);
        let mut rows: Vec<Row> = rows.cloned().collect();
        rows.sort_by_key(|row| is_over(&row.state));
        Ok(rows)
    }

    /// Slurm's evidence about the end of a job.
    fn end_of(row: &Row) -> Exit {
        let mut command = Command::new("scontrol");
        command.args(["--oneliner", "show", "job", &row.number]);
        // Slurm forgets ended jobs after some minutes; the state is evidence enough then.
        let shown =
            run(command, std::io::empty(), LIMIT).map(|printed| String::from_utf8_lossy(&printed.out).into_owned());
        exit(row, &shown.unwrap_or_default())
    }

    fn program(&self) -> Result<PathBuf, HostError> {
        match &self.config.program {
            Some(program) => Ok(program.clone()),
            None => copy_in(&self.state_dir).map_err(|error| {
                HostError::Refused(Failure::io("cannot copy this program into the state directory", &error))
            }),
        }
    }

    fn cancel(numbers: &[&str], options: &[&str]) -> Result<(), HostError> {
        if numbers.is_empty() {
            return Ok(());
        }
        let mut command = Command::new("scancel");
        command.arg("--quiet").args(options).args(numbers);
        // A job that has just ended cannot be canceled, which is what the caller wants.
        run(command, std::io::empty(), LIMIT).map(drop)
    }
}

impl Host for SlurmHost {
    fn submit(&mut self, place: &Place, _job: &Job) -> Result<(), HostError> {
        let folder = place.folder.path();
        let script = folder.join(SCRIPT);
        let text = format!("#!/bin/sh\nexec {} worker remote {}\n", quote(self.program()?), quote(folder));
        let mut file = OpenOptions::new();
        let written = file.create(true).truncate(true).write(true).mode(0o700).open(&script);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| HostError::Unreachable(format!("`{}`: {error}", script.display())))?;
        let mut command = Command::new("sbatch");
        command.args(["--parsable", "--no-requeue", "--open-mode=append", WARNING]);
        command.arg(format!("--job-name={}", place.key()));
        command.arg(format!("--comment={}", folder.display()));
        // Where a worker of this machine would start.
        let here = std::env::current_dir().unwrap_or_else(|_| folder.to_owned());
        command.arg(format!("--chdir={}", here.display()));
        command.arg(format!("--output={}", folder.join(AGENT_LOG).display()));
        command.args(self.config.partition.iter().map(|partition| format!("--partition={partition}")));
        command.args(self.config.time.iter().map(|time| format!("--time={time}")));
        command.args(&self.config.options).arg(&script);
        let printed = run(command, std::io::empty(), LIMIT);
        self.changed_at = Instant::now();
        let printed = printed?;
        if printed.code == Some(0) { Ok(()) } else { Err(refusal(&printed.err)) }
    }

    fn look(&mut self, place: &Place) -> Result<JobState, HostError> {
        let mut jobs = self.jobs(place)?;
        // Of several jobs, only the one that has claimed the attempt says anything about it.
        if let Some(job) = place.folder.agent().and_then(|agent| agent.job) {
            jobs.retain(|row| row.number == job);
        }
        let Some(row) = jobs.first() else { return Ok(JobState::Absent) };
        let state = row.state.as_str();
        Ok(if WAITING.contains(&state) {
            let ordinary = ORDINARY.contains(&row.reason.as_str());
            JobState::Waiting(if ordinary { String::new() } else { format!("job {}: {}", row.number, row.reason) })
        } else if RUNNING.contains(&state) {
            JobState::Running
        } else {
            JobState::Ended(SlurmHost::end_of(row))
        })
    }

    fn kill(&mut self, place: &Place) -> Result<(), HostError> {
        self.changed_at = Instant::now();
        let jobs = self.jobs(place)?;
        let alive: Vec<&str> = jobs.iter().filter(|row| !is_over(&row.state)).map(|row| row.number.as_str()).collect();
        SlurmHost::cancel(&alive, &["--signal=KILL", "--full"])?;
        // Also jobs that wait, which get no signals.
        SlurmHost::cancel(&alive, &[])
    }
}

fn is_over(state: &str) -> bool {
    !WAITING.contains(&state) && !RUNNING.contains(&state)
}

/// Parses lines such as `12|RUNNING|None|stepwell-...|/state/runs/...`.
fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut fields = line.splitn(5, '|').map(|field| field.trim().to_owned());
        let mut next = || fields.next();
        Some(Row { number: next()?, state: next()?, reason: next()?, name: next()?, comment: next()? })
    };
    text.lines().filter_map(row).collect()
}

/// Reads the exit of a job from `scontrol --oneliner show job`. 137 alone is no evidence of a lack of memory: only Slurm's state is.
fn exit(row: &Row, shown: &str) -> Exit {
    let field = |name: &str| shown.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let (code, signal) = field("ExitCode").and_then(|text| text.split_once(':')).unwrap_or_default();
    let (code, signal) = (code.parse::<i32>().ok(), signal.parse::<i32>().ok().filter(|signal| *signal != 0));
    let out_of_memory = row.state == "OUT_OF_MEMORY";
    let reason = field("Reason").filter(|reason| *reason != "None").map(|reason| format!(" ({reason})"));
    let why = (row.state != "COMPLETED" && row.state != "FAILED" || code.is_none())
        .then(|| format!("ended with its Slurm job {}: {}{}", row.number, row.state, reason.unwrap_or_default()));
    Exit { code: if signal.is_some() { None } else { code }, signal, out_of_memory, why, survivors: Vec::new() }
}

fn answered(printed: Printed, name: &str) -> Result<Printed, HostError> {
    if printed.code == Some(0) { Ok(printed) } else { Err(HostError::Unreachable(format!("{name}: {}", printed.err))) }
}

/// Tells what `sbatch` refuses for good from what may pass.
fn refusal(error: &str) -> HostError {
    let lower = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "unable to contact",
        "socket timed out",
        "connection refused",
        "zero bytes",
        "temporarily",
        "try again",
        "slurm_persist",
    ]) {
        return HostError::Unreachable(format!("sbatch: {error}"));
    }
    let hint = if has(&["partition"]) {
        "`sinfo -s` lists the partitions; set `partition` of the executor in stepwell.toml"
    } else if has(&["maxsubmit", "submitjob", "quota", "policy", "limit"]) {
        "the cluster allows no more jobs, or no such job: lower `slots` or `time` of the executor, or wait until other jobs have ended"
    } else if has(&["account"]) {
        "set `options = [\"--account=NAME\"]` of the executor in stepwell.toml"
    } else {
        "correct the executor in stepwell.toml; `options` holds further arguments of `sbatch`"
    };
    HostError::Refused(Failure::fatal(format!("Slurm has refused the job: {error}")).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_read_with_what_comments_hold() {
        let rows = rows("12|RUNNING|None|stepwell-a|/state/a|b\nnonsense\n13|PENDING|Resources|stepwell-b|(null)\n");
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].number.as_str(), rows[0].comment.as_str()), ("12", "/state/a|b"));
        assert!(!is_over("PENDING") && !is_over("COMPLETING") && is_over("NODE_FAIL"));
    }

    #[test]
    fn a_kill_is_no_lack_of_memory_without_evidence() {
        let row = |state: &str| Row {
            number: "7".into(),
            state: state.into(),
            reason: "None".into(),
            name: String::new(),
            comment: String::new(),
        };
        let killed = exit(&row("FAILED"), "JobId=7 JobState=FAILED Reason=NonZeroExitCode ExitCode=0:9 X=1");
        assert_eq!((killed.code, killed.signal, killed.out_of_memory), (None, Some(9), false));
        let by_shell = exit(&row("FAILED"), "ExitCode=137:0");
        assert_eq!((by_shell.code, by_shell.out_of_memory), (Some(137), false));
        assert!(exit(&row("OUT_OF_MEMORY"), "ExitCode=0:125").out_of_memory);
        let lost = exit(&row("NODE_FAIL"), "");
        assert_eq!(lost.to_string(), "ended with its Slurm job 7: NODE_FAIL");
    }

    #[test]
    fn refusals_and_outages_are_told_apart() {
        let gone = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)";
        assert!(matches!(refusal(gone), HostError::Unreachable(_)));
        for (error, word) in [
            ("sbatch: error: invalid partition specified: nope", "sinfo"),
            ("sbatch: error: QOSMaxSubmitJobPerUserLimit", "slots"),
            ("Batch job submission failed: Invalid account or account/partition combination specified", "sinfo"),
            ("sbatch: unrecognized option '--gpuz'", "options"),
        ] {
            let HostError::Refused(failure) = refusal(error) else { panic!("{error}") };
            assert!(failure.hint.unwrap().contains(word), "{error}");
        }
    }
}
