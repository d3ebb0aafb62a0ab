use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};

use stepwell_workflow::pools::Pool;

use super::{ColorChoice, ConfigError, Origin, OutputFormat, Partial, Settings, Surroundings, load_from};

/// A home and a working directory with optional files, and an environment.
struct Place {
    folder: tempfile::TempDir,
    env: HashMap<String, OsString>,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(folder.path().join("home/.config/stepwell")).expect("a directory");
        fs::create_dir_all(folder.path().join("work")).expect("a directory");
        let home = folder.path().join("home").into_os_string();
        Place { folder, env: HashMap::from([("HOME".to_owned(), home)]) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn user(self, text: &str) -> Place {
        fs::write(self.path("home/.config/stepwell/config.toml"), text).expect("a file");
        self
    }

    fn project(self, text: &str) -> Place {
        fs::write(self.path("work/stepwell.toml"), text).expect("a file");
        self
    }

    fn env(mut self, name: &str, value: &str) -> Place {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    fn load(&self, flags: Partial) -> Result<Settings, ConfigError> {
        let env = |name: &str| self.env.get(name).cloned();
        load_from(flags, &Surroundings { env: &env, working_directory: self.path("work"), cores: 2 })
    }
}

#[test]
fn slots_follow_the_cores_and_the_devices_of_pools() {
    let slots = |cores, project: &str| {
        let place = Place::new().project(project);
        let surroundings = Surroundings { env: &|_| None, working_directory: place.path("work"), cores };
        load_from(Partial::default(), &surroundings).expect("settings").slots.value
    };
    assert_eq!((slots(1, ""), slots(2, ""), slots(64, "")), (2, 2, 64));
    let pools = "[pools]\ngpu = [\"gpu:0\", \"gpu:1\", \"gpu:2\"]\ntpu = [\"tpu:0\"]\nmemory = \"64GiB\"\n";
    assert_eq!((slots(2, pools), slots(16, pools)), (4, 16));
    assert_eq!(slots(16, &format!("slots = 3\n{pools}")), 3, "what a person sets stands");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
    let place = Place::new();
    let pipe = place.path("work/stepwell.toml");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
    let Err(ConfigError::Read { path, source }) = place.load(Partial::default()) else {
        panic!("a pipe has no settings")
    };
    assert_eq!((path, source.to_string().as_str()), (pipe, "it is no regular file"));
}

#[test]
fn defaults_are_used_without_any_source() {
    let place = Place::new();
    let settings = place.load(Partial::default()).expect("defaults");
    assert_eq!(settings.state_dir.value, place.path("work/state"));
    assert_eq!((settings.output.value, settings.color.value), (OutputFormat::Human, ColorChoice::Auto));
    assert_eq!((settings.device.value.as_str(), settings.slots.value), ("auto", 2));
    assert!(settings.rows().iter().all(|row| row.origin == Origin::Default));
}

#[test]
fn accounts_of_remote_machines_are_read() {
    let text = "[remote.cloud]\nprovider = \"lambda\"\nkey = { env = \"KEY\" }\nsettle = \"1m\"\n[remote.own]\nprovider = \"command\"\nprogram = [\"./p.sh\", \"x\"]\n[remote.try]\nprovider = \"mock\"\nfolder = \"~/cloud\"\n";
    let place = Place::new().project(text);
    let settings = place.load(Partial::default()).expect("project file");
    let accounts = &settings.remotes.value;
    let kinds: Vec<&str> = accounts.iter().map(|account| account.kind.as_str()).collect();
    assert_eq!(kinds, ["lambda", "command", "mock"]);
    assert_eq!((accounts[0].settle.as_secs(), accounts[1].program.len()), (60, 2));
    assert_eq!(accounts[2].folder, Some(place.path("home/cloud")));
    for (text, what) in [
        ("[remote.a]\nprovider = \"lambda\"\n", "needs `key`"),
        ("[remote.a]\nprovider = \"lambda\"\nkey = \"secret\"\n", "must name the source"),
        ("[remote.a]\nprovider = \"lamda\"\n", "no provider `lamda`"),
        ("[remote.a]\n", "needs a `provider`"),
        ("[remote.\"a b\"]\nprovider = \"mock\"\n", "no name of a provider"),
        ("[remote.a]\nprovider = \"mock\"\n", "needs `folder`"),
        ("[remote.a]\nprovider = \"command\"\nprogram = []\n", "1 to 64"),
        ("[remote.a]\nprovider = \"vast\"\nkey = { env = \"K\" }\nurl = \"http://example.com\"\n", "https"),
        ("[remote.a]\nprovider = \"mock\"\nfolder = \"f\"\nsettle = \"0s\"\n", "`settle` cannot be"),
    ] {
        let error = Place::new().project(text).load(Partial::default()).unwrap_err();
        let ConfigError::File(problems) = &error else { panic!("{text}: {error}") };
        let found = problems.problems().iter().any(|problem| problem.message().contains(what));
        assert!(found, "{text}: {:?}", problems.problems());
    }
}

#[test]
fn each_source_wins_over_the_next() {
    let place = Place::new()
        .user("slots = 5\ndevice = \"user\"\noutput = \"json\"\ncolor = \"always\"\nstate_dir = \"~/runs\"\nretention = { keep_runs = 3, keep_days = 7, keep_best = { by = \"eval.acc\", count = 2, goal = \"max\" } }\n");
    let settings = place.load(Partial::default()).expect("user file");
    let user = Origin::User(place.path("home/.config/stepwell/config.toml"));
    let named = [
        "state_dir",
        "output",
        "device",
        "slots",
        "color",
        "retention.keep_runs",
        "retention.keep_days",
        "retention.keep_best",
    ];
    assert!(settings.rows().iter().filter(|row| named.contains(&row.name)).all(|row| row.origin == user));
    assert_eq!((settings.keep_runs.value, settings.keep_days.value), (Some(3), Some(7)));
    let best = settings.rows().into_iter().find(|row| row.name == "retention.keep_best").expect("a row");
    assert_eq!(best.value, "2 by eval.acc, max");
    assert_eq!(settings.state_dir.value, place.path("home/runs"));

    let place = place.project("slots = 4\ndevice = \"project\"\noutput = \"human\"\nstate_dir = \"elsewhere\"\n");
    let settings = place.load(Partial::default()).expect("project file");
    assert_eq!((settings.slots.value, &settings.slots.origin), (4, &Origin::Project(place.path("work/stepwell.toml"))));
    assert_eq!(settings.state_dir.value, place.path("work/elsewhere"));
    assert_eq!(settings.color.origin, user, "what the project leaves out comes from the user");

    let place =
        place.env("STEPWELL_SLOTS", "3").env("STEPWELL_DEVICE", "env").env("NO_COLOR", "1").env("STEPWELL_OUTPUT", "");
    let settings = place.load(Partial::default()).expect("environment");
    assert_eq!((settings.slots.value, settings.slots.origin), (3, Origin::Env("STEPWELL_SLOTS")));
    assert_eq!((settings.color.value, settings.color.origin), (ColorChoice::Never, Origin::Env("NO_COLOR")));
    assert!(matches!(settings.output.origin, Origin::Project(_)), "an empty variable counts as unset");

    let flags = Partial { slots: Some(1), color: Some(ColorChoice::Always), ..Partial::default() };
    let settings = place.load(flags).expect("flags");
    assert_eq!((settings.slots.value, settings.slots.origin), (1, Origin::Flag));
    assert_eq!((settings.color.value, settings.color.origin), (ColorChoice::Always, Origin::Flag));
    assert_eq!((settings.device.value.as_str(), settings.device.origin), ("env", Origin::Env("STEPWELL_DEVICE")));
}

#[test]
fn exports_are_next_to_the_state_directory_unless_a_source_says_otherwise() {
    let export_dir = |place: &Place, flags| place.load(flags).expect("settings").export_dir;
    let place = Place::new().project("state_dir = \"deep/state\"\n");
    assert_eq!(export_dir(&place, Partial::default()).value, place.path("work/deep/exports"));
    let place = place.project("export_dir = \"models\"\n");
    assert_eq!(export_dir(&place, Partial::default()).value, place.path("work/models"));
    let place = place.env("STEPWELL_EXPORT_DIR", "/elsewhere");
    assert_eq!(export_dir(&place, Partial::default()).value, Path::new("/elsewhere"));
    let flags = Partial { export_dir: Some("flag".into()), ..Partial::default() };
    assert_eq!(export_dir(&place, flags).value, place.path("work/flag"));
}

#[test]
fn the_notifier_is_a_program_that_a_variable_turns_off() {
    let place = Place::new().project("[notify]\ncommand = [\"mail\", \"me\"]\n");
    assert_eq!(place.load(Partial::default()).expect("settings").notify_command.value, ["mail", "me"]);
    let place = place.env("STEPWELL_NOTIFY", "off");
    assert!(place.load(Partial::default()).expect("settings").notify_command.value.is_empty());
    let place = Place::new().project("[notify]\nurl = \"https://example.com\"\n");
    let refused = place.load(Partial::default()).expect_err("no url");
    let ConfigError::File(problems) = refused else { panic!("{refused}") };
    assert!(problems.problems()[0].hint_text().expect("a hint").contains("curl"));
}

#[test]
fn an_xdg_directory_replaces_the_one_in_home() {
    let place = Place::new().user("slots = 5\n");
    let xdg = place.path("xdg");
    let place = place.env("XDG_CONFIG_HOME", xdg.to_str().expect("UTF-8"));
    assert_eq!(place.load(Partial::default()).expect("no file").slots.value, 2);
    fs::create_dir_all(xdg.join("stepwell")).expect("a directory");
    fs::write(xdg.join("stepwell/config.toml"), "slots = 7\n").expect("a file");
    assert_eq!(place.load(Partial::default()).expect("a file").slots.value, 7);
}

#[test]
fn broken_files_name_every_line() {
    let place = Place::new().project("statedir = \"x\"\noutput = \"jsn\"\nslots = 0\ndevice = 3\n");
    let Err(ConfigError::File(errors)) = place.load(Partial::default()) else { panic!("the file is broken") };
    let found: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| (problem.position().map(|(line, _)| line), problem.message(), problem.hint_text()))
        .collect();
    assert_eq!(
        found,
        [
            (Some(1), "unknown key `statedir`", Some("did you mean `state_dir`?")),
            (Some(2), "`output` cannot be `jsn`", Some("did you mean `json`?")),
            (Some(3), "`slots` must be an integer of at least 1", Some("it limits how many steps run at once")),
            (Some(4), "`device` must be text, not an integer", Some("put it in quotes")),
        ]
    );
    assert!(Path::new(errors.file()).ends_with("work/stepwell.toml"));
}

#[test]
fn broken_variables_and_flags_are_named() {
    let message = |place: Place, flags| {
        let error = place.load(flags).expect_err("broken");
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let (text, hint) = message(Place::new().env("STEPWELL_OUTPUT", "xml"), Partial::default());
    assert_eq!(text, "environment variable `STEPWELL_OUTPUT` must be `human` or `json`, not `xml`");
    assert!(hint.contains("unset STEPWELL_OUTPUT"));
    let (text, _) = message(Place::new().env("STEPWELL_SLOTS", "0"), Partial::default());
    assert_eq!(text, "environment variable `STEPWELL_SLOTS` must be an integer of at least 1, not `0`");
    let (text, _) = message(Place::new(), Partial { slots: Some(0), ..Partial::default() });
    assert_eq!(text, "flag `--slots` must be an integer of at least 1, not `0`");
}

#[test]
fn pools_and_rate_limits_come_from_files_and_tables_are_checked() {
    let text = "[pools]\ngpu = [\"gpu:0\", \"gpu:1\"]\nmemory = \"64GiB\"\nlicences = 3\n[rate_limits]\napi = \"10/min\"\n\
                [alerts]\ncommand = [\"notify\", \"me\"]\n";
    let place = Place::new().project(text);
    let limits = place.load(Partial::default()).expect("project file").limits();
    let gpus = Pool::Devices(vec!["gpu:0".into(), "gpu:1".into()]);
    let pools = [("gpu", gpus), ("memory", Pool::Amount(64 << 30)), ("licences", Pool::Amount(3))];
    assert_eq!(limits.pools.0, pools.map(|(name, pool)| (name.to_owned(), pool)).into());
    assert_eq!(limits.rate_limits["api"].count, 10);
    assert_eq!(limits.alert_command, ["notify", "me"]);
    for (text, said) in [
        ("[pools]\ngpu = [\"gpu:0\", \"gpu:0\"]\n", "listed twice"),
        ("[pools]\ngpu = [\"a,b\"]\n", "not the name of a device"),
        ("[pools]\nmemory = \"lots\"\n", "must be a list of devices"),
        ("[pools]\nmemory = -1\n", "must be a list of devices"),
        ("[rate_limits]\napi = \"often\"\n", "cannot be `often`"),
        ("[alerts]\nprogram = []\n", "unknown key `program` in [alerts]"),
        ("[retention]\nkeep_hours = 1\n", "unknown key `keep_hours` in [retention]"),
        ("[retention]\nkeep_best = 3\n", "keep_best"),
        ("[retention]\nkeep_best = { by = \"loss\", count = 3 }\n", "a STEP.VALUE"),
        ("[retention]\nkeep_best = { by = \"a.loss\", count = 3, goal = \"low\" }\n", "cannot be `low`"),
    ] {
        let Err(ConfigError::File(errors)) = Place::new().project(text).load(Partial::default()) else {
            panic!("{text} was accepted");
        };
        assert!(errors.problems()[0].message().contains(said), "{text}: {:?}", errors.problems());
    }
}

#[test]
fn the_log_limit_is_an_amount_with_a_least_value() {
    let place = Place::new().project("log_limit = \"1MiB\"");
    assert_eq!(place.load(Partial::default()).expect("an amount").log_limit.value, 1 << 20);
    let place = place.env("STEPWELL_LOG_LIMIT", "0");
    let limit = place.load(Partial::default()).expect("zero").log_limit;
    assert_eq!((limit.value, limit.origin), (0, Origin::Env("STEPWELL_LOG_LIMIT")));
    assert!(place.env("STEPWELL_LOG_LIMIT", "1KiB").load(Partial::default()).is_err());
    assert!(Place::new().project("log_limit = 1000").load(Partial::default()).is_err());
}
