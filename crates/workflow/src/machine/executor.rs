//! Systems outside this machine that run attempts, as the settings describe them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::limits::Class;
use stepwell_base::failure::Failure;
use stepwell_base::suggest;

/// The executor that every machine has: child processes of the engine.
pub const LOCAL: &str = "local";

/// A system that runs attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecutorConfig {
    pub system: System,
    /// Maximum number of attempts there at a time, waiting ones included.
    pub slots: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum System {
    Slurm(Slurm),
    Ssh(Ssh),
}

impl System {
    pub const NAMES: [&'static str; 2] = ["slurm", "ssh"];

    pub fn as_str(&self) -> &'static str {
        match self {
            System::Slurm(_) => "slurm",
            System::Ssh(_) => "ssh",
        }
    }
}

/// Jobs of `sbatch`. Their nodes see the state directory under the same path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slurm {
    pub partition: Option<String>,
    /// Limit of each job, as `sbatch --time` takes it.
    pub time: Option<String>,
    /// Further arguments of `sbatch`.
    pub options: Vec<String>,
    /// The Stepwell binary on the nodes; by default a copy of this one in the state directory.
    pub program: Option<PathBuf>,
}

/// A machine with an SSH server. It shares no folder with this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ssh {
    /// `user@host`, or a name in the configuration of `ssh`.
    pub host: String,
    pub port: Option<u16>,
    /// Folder on the host for binaries, artifacts and scratch files; relative to the home folder.
    pub folder: String,
    /// Further arguments of `ssh`, such as `-i KEY`.
    pub options: Vec<String>,
    /// The Stepwell binary on the host; by default a copy of this one.
    pub program: Option<PathBuf>,
}

/// All configured executors, and the pools that belong to one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Executors {
    pub by_name: BTreeMap<String, ExecutorConfig>,
    /// Pool name to executor: steps that ask for units of the pool run there.
    pub of_pools: BTreeMap<String, String>,
}

impl Executors {
    /// Returns the executor of a class of steps; `None` for this machine. The step's own choice wins over that of its pools.
    pub fn of<'a>(&'a self, class: &'a Class) -> Option<&'a str> {
        let of_pool = || class.demand.keys().find_map(|pool| self.of_pools.get(pool));
        class.executor.as_ref().or_else(of_pool).map(String::as_str).filter(|name| *name != LOCAL)
    }

    /// # Errors
    /// A fatal failure when there is no such executor.
    pub fn check(&self, name: &str) -> Result<(), Failure> {
        if name == LOCAL || self.by_name.contains_key(name) {
            return Ok(());
        }
        let names = self.by_name.keys().map(String::as_str).chain([LOCAL]);
        let failure = Failure::fatal(format!("the executor `{name}` is not configured"));
        let example = match name {
            "ssh" => "`[executors.ssh]` and below it `host = \"user@host\"`".to_owned(),
            "slurm" => "`[executors.slurm]`".to_owned(),
            _ => format!("`[executors.{name}]` and below it `system = \"slurm\"`"),
        };
        Err(failure.with_hint(format!("{}write {example} in stepwell.toml", suggest::meant(name, names))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Placement;

    fn class(executor: Option<&str>, pool: Option<&str>) -> Class {
        Class {
            placement: Placement::Child,
            priority: 0,
            demand: pool.map(|pool| (pool.to_owned(), 1)).into_iter().collect(),
            rate_limit: None,
            executor: executor.map(str::to_owned),
        }
    }

    #[test]
    fn a_step_chooses_before_its_pools_do() {
        let executors =
            Executors { by_name: BTreeMap::new(), of_pools: BTreeMap::from([("a100".to_owned(), "slurm".to_owned())]) };
        assert_eq!(executors.of(&class(None, None)), None);
        assert_eq!(executors.of(&class(None, Some("a100"))), Some("slurm"));
        assert_eq!(executors.of(&class(Some("box"), Some("a100"))), Some("box"));
        assert_eq!(executors.of(&class(Some("local"), Some("a100"))), None);
    }

    #[test]
    fn an_unknown_executor_says_what_to_write() {
        let failure = Executors::default().check("slurm").unwrap_err();
        assert_eq!(failure.message, "the executor `slurm` is not configured");
        assert!(failure.hint.unwrap().contains("[executors.slurm]"));
        Executors::default().check("local").unwrap();
    }
}
