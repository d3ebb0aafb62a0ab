//! Finds the sources of settings and applies their precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::ConfigError;
use super::file;
use super::limits;
use super::settings::{ColorChoice, InvalidValue, Origin, OutputFormat, Partial, Setting, Settings, Switch};
use stepwell_workflow::executor::Executors;
use stepwell_workflow::pools::{Pool, Pools};

/// Minimum slots, for one attempt that computes and one that waits for files or a command.
const LEAST_SLOTS: usize = 2;

/// Enough to rule out bad luck, few enough for a person to find a machine that still works.
const DEFAULT_CRASH_LOOP_LIMIT: u64 = 5;

/// More than anybody reads, and small next to a checkpoint.
const DEFAULT_LOG_LIMIT: u64 = 64 << 20;

/// The surroundings that settings depend on, apart from flags; tests pass their own.
pub struct Surroundings<'a> {
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    pub working_directory: PathBuf,
    /// Processors that this process may use.
    pub cores: usize,
}

/// Loads the settings of this process.
///
/// # Errors
/// When a configuration file, an environment variable or a flag has a wrong value.
pub fn load(flags: Partial) -> Result<Settings, ConfigError> {
    let working_directory = std::env::current_dir().map_err(|source| ConfigError::WorkingDirectory { source })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    load_from(flags, &Surroundings { env: &|name| std::env::var_os(name), working_directory, cores })
}

/// Loads the settings in the given surroundings.
///
/// # Errors
/// Like [`load`].
pub fn load_from(flags: Partial, surroundings: &Surroundings<'_>) -> Result<Settings, ConfigError> {
    if flags.slots == Some(0) {
        return Err(ConfigError::Flag { name: "slots", source: not_slots("0") });
    }
    let home = surroundings.path("HOME");
    let project_path = surroundings.working_directory.join("stepwell.toml");
    let project = read(&project_path, home.as_deref())?.unwrap_or_default();
    let (user, user_path) = user_file(surroundings, home.as_deref())?;
    let env = environment(surroundings)?;

    let project_origin = || Origin::Project(project_path.clone());
    let user_origin = || Origin::User(user_path.clone());
    let state_dir = first(
        [
            (flags.state_dir, Origin::Flag),
            (env.state_dir, Origin::Env("STEPWELL_STATE_DIR")),
            (project.state_dir, project_origin()),
            (user.state_dir, user_origin()),
        ],
        PathBuf::from("state"),
    );
    let state_dir = Setting { value: surroundings.working_directory.join(state_dir.value), origin: state_dir.origin };
    let export_dir = first(
        [
            (flags.export_dir, Origin::Flag),
            (env.export_dir, Origin::Env("STEPWELL_EXPORT_DIR")),
            (project.export_dir, project_origin()),
            (user.export_dir, user_origin()),
        ],
        // Next to the state directory, so that a project stays in one place.
        state_dir.value.with_file_name("exports"),
    );
    let pools = first([(project.pools, project_origin()), (user.pools, user_origin())], Pools::default());
    Ok(Settings {
        state_dir,
        export_dir: Setting { value: surroundings.working_directory.join(export_dir.value), origin: export_dir.origin },
        output: first(
            [
                (flags.output, Origin::Flag),
                (env.output, Origin::Env("STEPWELL_OUTPUT")),
                (project.output, project_origin()),
                (user.output, user_origin()),
            ],
            OutputFormat::Human,
        ),
        device: first(
            [
                (flags.device, Origin::Flag),
                (env.device, Origin::Env("STEPWELL_DEVICE")),
                (project.device, project_origin()),
                (user.device, user_origin()),
            ],
            "auto".to_owned(),
        ),
        slots: first(
            [
                (flags.slots, Origin::Flag),
                (env.slots, Origin::Env("STEPWELL_SLOTS")),
                (project.slots, project_origin()),
                (user.slots, user_origin()),
            ],
            default_slots(surroundings.cores, &pools.value),
        ),
        crash_loop_limit: first(
            [
                (env.crash_loop_limit, Origin::Env("STEPWELL_CRASH_LOOP_LIMIT")),
                (project.crash_loop_limit, project_origin()),
                (user.crash_loop_limit, user_origin()),
            ],
            DEFAULT_CRASH_LOOP_LIMIT,
        ),
        log_limit: first(
            [
                (env.log_limit, Origin::Env("STEPWELL_LOG_LIMIT")),
                (project.log_limit, project_origin()),
                (user.log_limit, user_origin()),
            ],
            DEFAULT_LOG_LIMIT,
        ),
        tensorboard: first(
            [
                (env.tensorboard, Origin::Env("STEPWELL_TENSORBOARD")),
                (project.tensorboard, project_origin()),
                (user.tensorboard, user_origin()),
            ],
            Switch::On,
        ),
        color: first(
            [
                (flags.color, Origin::Flag),
                (env.color, Origin::Env("STEPWELL_COLOR")),
                (no_color(surroundings), Origin::Env("NO_COLOR")),
                (project.color, project_origin()),
                (user.color, user_origin()),
            ],
            ColorChoice::Auto,
        ),
        keep_runs: first(
            [(project.keep_runs.map(Some), project_origin()), (user.keep_runs.map(Some), user_origin())],
            None,
        ),
        keep_days: first(
            [(project.keep_days.map(Some), project_origin()), (user.keep_days.map(Some), user_origin())],
            None,
        ),
        keep_best: first(
            [(project.keep_best.map(Some), project_origin()), (user.keep_best.map(Some), user_origin())],
            None,
        ),
        pools,
        rate_limits: first(
            [(project.rate_limits, project_origin()), (user.rate_limits, user_origin())],
            BTreeMap::new(),
        ),
        executors: first(
            [(project.executors, project_origin()), (user.executors, user_origin())],
            Executors::default(),
        ),
        alert_command: first(
            [(project.alert_command, project_origin()), (user.alert_command, user_origin())],
            Vec::new(),
        ),
        notify_command: first(
            [
                (env.notify_command, Origin::Env("STEPWELL_NOTIFY")),
                (project.notify_command, project_origin()),
                (user.notify_command, user_origin()),
            ],
            Vec::new(),
        ),
        webhooks: first(
            [
                (env.webhooks, Origin::Env("STEPWELL_NOTIFY")),
                (project.webhooks, project_origin()),
                (user.webhooks, user_origin()),
            ],
            Vec::new(),
        ),
        remotes: first([(project.remotes, project_origin()), (user.remotes, user_origin())], Vec::new()),
    })
}

/// One attempt per core, or per device of all pools if that is more: no device may idle for lack of a slot.
fn default_slots(cores: usize, pools: &Pools) -> usize {
    let devices = |pool: &Pool| match pool {
        Pool::Devices(names) => names.len(),
        Pool::Amount(_) => 0,
    };
    let devices: usize = pools.0.values().map(devices).sum();
    cores.max(devices).max(LEAST_SLOTS)
}

fn first<T, const N: usize>(sources: [(Option<T>, Origin); N], default: T) -> Setting<T> {
    let found = sources.into_iter().find_map(|(value, origin)| value.map(|value| Setting { value, origin }));
    found.unwrap_or(Setting { value: default, origin: Origin::Default })
}

impl Surroundings<'_> {
    /// Returns a variable; an empty one counts as unset.
    fn value(&self, name: &str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }
}

/// See <https://no-color.org>.
fn no_color(surroundings: &Surroundings<'_>) -> Option<ColorChoice> {
    surroundings.value("NO_COLOR").map(|_| ColorChoice::Never)
}

fn environment(surroundings: &Surroundings<'_>) -> Result<Partial, ConfigError> {
    Ok(Partial {
        state_dir: surroundings.path("STEPWELL_STATE_DIR"),
        export_dir: surroundings.path("STEPWELL_EXPORT_DIR"),
        output: variable(surroundings, "STEPWELL_OUTPUT", OutputFormat::from_str)?,
        device: variable(surroundings, "STEPWELL_DEVICE", |text| Ok(text.to_owned()))?,
        slots: variable(surroundings, "STEPWELL_SLOTS", |text| {
            text.parse().ok().filter(|slots| *slots > 0).ok_or_else(|| not_slots(text))
        })?,
        crash_loop_limit: variable(surroundings, "STEPWELL_CRASH_LOOP_LIMIT", |text| {
            let invalid = || InvalidValue { expected: "an integer of at least 0", given: text.to_owned() };
            text.parse().map_err(|_| invalid())
        })?,
        log_limit: variable(surroundings, "STEPWELL_LOG_LIMIT", |text| {
            let invalid = || InvalidValue { expected: limits::LOG_LIMITS, given: text.to_owned() };
            limits::parse_log_limit(text).ok_or_else(invalid)
        })?,
        tensorboard: variable(surroundings, "STEPWELL_TENSORBOARD", Switch::from_str)?,
        color: variable(surroundings, "STEPWELL_COLOR", ColorChoice::from_str)?,
        notify_command: variable(surroundings, "STEPWELL_NOTIFY", off)?,
        webhooks: variable(surroundings, "STEPWELL_NOTIFY", off)?,
        ..Partial::default()
    })
}

/// Nobody is told anything.
fn off<T>(text: &str) -> Result<Vec<T>, InvalidValue> {
    match text {
        "off" => Ok(Vec::new()),
        _ => Err(InvalidValue { expected: "`off`", given: text.to_owned() }),
    }
}

fn variable<T>(
    surroundings: &Surroundings<'_>,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, InvalidValue>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = surroundings.value(name) else { return Ok(None) };
    let parsed = match value.to_str() {
        Some(text) => parse(text),
        None => Err(InvalidValue { expected: "UTF-8 text", given: value.to_string_lossy().into_owned() }),
    };
    parsed.map(Some).map_err(|source| ConfigError::Environment { name, source })
}

fn not_slots(given: &str) -> InvalidValue {
    InvalidValue { expected: "an integer of at least 1", given: given.to_owned() }
}

/// Reads the first user file that exists.
fn user_file(surroundings: &Surroundings<'_>, home: Option<&Path>) -> Result<(Partial, PathBuf), ConfigError> {
    let mut folders: Vec<PathBuf> =
        surroundings.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).into_iter().collect();
    if let Some(home) = home.filter(|_| folders.is_empty()) {
        if cfg!(target_os = "macos") {
            folders.push(home.join("Library/Application Support"));
        }
        folders.push(home.join(".config"));
    }
    for folder in folders {
        let path = folder.join("stepwell/config.toml");
        if let Some(partial) = read(&path, home)? {
            return Ok((partial, path));
        }
    }
    Ok((Partial::default(), PathBuf::new()))
}

/// Returns `None` if the file does not exist.
fn read(path: &Path, home: Option<&Path>) -> Result<Option<Partial>, ConfigError> {
    // Reading a pipe without a writer would block for ever.
    let text = std::fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => std::fs::read_to_string(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    });
    match text {
        Ok(text) => Ok(Some(file::parse(&text, path, home)?)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}
