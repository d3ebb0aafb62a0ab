//! Looks into a running machine: is it working, and has its command ended?

use std::time::Duration;

use crate::error::ShellError;
use crate::shell::{Shell, WORK_DIR};

const ANSWER: u64 = 4 << 10;
const LIMIT: Duration = Duration::from_secs(60);
/// Per cent of a GPU, and load of the CPUs, below which a machine does nothing worth its price.
const QUIET_GPU: f64 = 5.0;
const QUIET_LOAD: f64 = 0.3;

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Probe {
    /// Highest utilisation of its GPUs in per cent; `None` without `nvidia-smi`.
    pub gpu: Option<f64>,
    /// Load average over one minute.
    pub load: Option<f64>,
    /// Seconds since a file of the work folder changed, its log included.
    pub quiet: Option<f64>,
    /// Exit code of the command, once it has ended.
    pub exit: Option<i32>,
    /// Processes that the kernel has killed for lack of memory.
    pub out_of_memory: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdleLimits {
    /// Silence that counts as idle.
    pub after: Duration,
}

impl Probe {
    /// True if nothing speaks of work: no GPU, no CPU, no file.
    pub fn is_idle(&self, limits: IdleLimits) -> bool {
        let is_quiet = self.quiet.is_some_and(|quiet| quiet >= limits.after.as_secs_f64());
        let gpu_rests = self.gpu.is_none_or(|gpu| gpu < QUIET_GPU);
        let cpu_rests = self.load.is_none_or(|load| load < QUIET_LOAD);
        is_quiet && gpu_rests && cpu_rests
    }

    /// How the command ended, for people. 137 alone does not say that memory was missing.
    pub fn ending(&self) -> Option<String> {
        Some(match self.exit? {
            137 if self.out_of_memory > 0 => "killed for lack of memory (137, and the kernel counts one)".to_owned(),
            137 => "killed by SIGKILL (137; nothing says that memory was missing)".to_owned(),
            code @ 129..=192 => format!("killed by signal {}", code - 128),
            code => format!("exit code {code}"),
        })
    }
}

/// # Errors
/// Those of [`Shell::run`].
pub fn probe(shell: &Shell) -> Result<Probe, ShellError> {
    let script = format!(
        "cd {WORK_DIR} 2>/dev/null || exit 0\n\
         nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>/dev/null | sort -n | tail -n 1 | sed 's/^/gpu /'\n\
         sed 's/ .*//; s/^/load /' /proc/loadavg 2>/dev/null\n\
         newest=$(find . -type f -printf '%T@\\n' 2>/dev/null | sort -n | tail -n 1)\n\
         [ -z \"$newest\" ] || echo \"quiet $(( $(date +%s) - ${{newest%.*}} ))\"\n\
         [ ! -f .stepwell-exit ] || sed 's/^/exit /' .stepwell-exit\n\
         sed -n 's/^oom_kill /oom /p' /sys/fs/cgroup/memory.events 2>/dev/null\n\
         exit 0"
    );
    let output = shell.run(&script, b"", ANSWER, LIMIT)?;
    Ok(read(&String::from_utf8_lossy(&output)))
}

/// Lines that make no sense say nothing.
fn read(text: &str) -> Probe {
    let mut probe = Probe::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let number = || value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        match name {
            "gpu" => probe.gpu = number(),
            "load" => probe.load = number(),
            "quiet" => probe.quiet = number().map(|quiet| quiet.max(0.0)),
            "exit" => probe.exit = value.trim().parse().ok(),
            "oom" => probe.out_of_memory = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    probe
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: IdleLimits = IdleLimits { after: Duration::from_secs(600) };

    #[test]
    fn idle_takes_silence_everywhere() {
        for (text, idle) in [
            ("gpu 0\nload 0.01\nquiet 700\n", true),
            ("load 0.01\nquiet 700\n", true),
            ("gpu 97\nload 0.01\nquiet 700\n", false),
            ("gpu 0\nload 3.9\nquiet 700\n", false),
            ("gpu 0\nload 0.01\nquiet 10\n", false),
            ("gpu 0\nload 0.01\n", false),
            ("quiet NaN\n", false),
            ("", false),
        ] {
            assert_eq!(read(text).is_idle(LIMITS), idle, "{text}");
        }
    }

    #[test]
    fn lack_of_memory_needs_evidence() {
        let ending = |text: &str| read(text).ending().unwrap_or_default();
        assert!(ending("exit 137\noom 1\n").starts_with("killed for lack of memory"));
        assert!(ending("exit 137\noom 0\n").starts_with("killed by SIGKILL"));
        assert_eq!(ending("exit 143\n"), "killed by signal 15");
        assert_eq!(ending("exit 0\n"), "exit code 0");
        assert_eq!(ending("exit x\n"), "");
    }
}
