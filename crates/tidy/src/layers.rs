//! Allowed dependencies between crates. Cargo enforces the arrows; these rules hold the manifests to the plan.

use crate::manifest::member;
use crate::{House, Problems};

/// Each crate with the crates of ours that it may depend on, bottom first. Tests of a crate may also depend on any crate
/// above it in this list.
const LAYERS: &[(&str, &[&str])] = &[
    ("tidy", &[]),
    ("thread-team", &[]),
    ("tensorboard", &[]),
    ("columns", &[]),
    ("base", &[]),
    ("statistics", &["base"]),
    ("constitution", &["base", "statistics"]),
    ("workflow", &["base"]),
    ("run", &["base", "workflow"]),
    ("config", &["base", "workflow", "run"]),
    ("artifact", &["base"]),
    ("store", &["base", "workflow", "run"]),
    ("train", &["base", "thread-team"]),
    ("models", &["base"]),
    ("inference", &["base", "thread-team", "models"]),
    ("batch", &["base"]),
    ("remote", &["base"]),
    (
        "steps",
        &[
            "base",
            "statistics",
            "constitution",
            "workflow",
            "run",
            "artifact",
            "columns",
            "train",
            "models",
            "inference",
            "batch",
        ],
    ),
    ("engine", &["base", "workflow", "run", "artifact", "store", "steps"]),
    ("bench", &["base", "workflow", "run", "store", "train", "models", "inference", "steps"]),
    ("http", &["base", "workflow", "run", "artifact", "store", "batch"]),
    (
        "fuzzing",
        &[
            "base",
            "workflow",
            "run",
            "config",
            "artifact",
            "columns",
            "store",
            "train",
            "models",
            "inference",
            "batch",
            "steps",
            "engine",
        ],
    ),
    ("lease-model", &["base", "run"]),
    (
        "stepwell",
        &[
            "base",
            "workflow",
            "run",
            "config",
            "artifact",
            "store",
            "tensorboard",
            "train",
            "models",
            "inference",
            "batch",
            "steps",
            "engine",
            "bench",
            "http",
            "remote",
        ],
    ),
    ("features", &["stepwell", "train"]),
];

/// Libraries with the only crate that may name them.
const HOMES: &[(&str, &str)] = &[
    ("rusqlite", "store"),
    ("refinery", "store"),
    ("burn", "train"),
    ("cubecl", "train"),
    ("cubek", "train"),
    ("axum", "http"),
    ("hyper", "http"),
    ("tokio", "http"),
    ("utoipa", "http"),
    ("clap", "stepwell"),
    ("indicatif", "stepwell"),
    ("comfy-table", "stepwell"),
    ("stateright", "lease-model"),
];

/// Dependencies point down only, and every crate has its place in the list.
pub fn arrows_point_down(house: &House) -> Problems {
    let mut problems = Vec::new();
    for manifest in &house.manifests {
        let Some(layer) = LAYERS.iter().position(|(name, _)| *name == manifest.member) else {
            problems.push(format!("{}: give `{}` a place in LAYERS", manifest.path, manifest.member));
            continue;
        };
        for dependency in manifest.dependencies.iter().filter(|dependency| dependency.name.starts_with("stepwell-")) {
            let name = member(&dependency.name);
            let below = LAYERS[..layer].iter().any(|(other, _)| *other == name);
            let allowed = if dependency.dev { below } else { LAYERS[layer].1.contains(&name) };
            if !allowed {
                let place = format!("{}:{}", manifest.path, dependency.line);
                problems.push(format!("{place}: `{}` must not depend on `{name}`", manifest.member));
            }
        }
    }
    problems
}

/// A library that one crate wraps stands in that crate's manifest only; tests may use it anywhere.
pub fn libraries_stay_at_home(house: &House) -> Problems {
    let mut problems = Vec::new();
    for manifest in &house.manifests {
        for dependency in manifest.dependencies.iter().filter(|dependency| !dependency.dev) {
            let is = |library: &str| {
                dependency.name == library
                    || dependency.name.strip_prefix(library).is_some_and(|rest| rest.starts_with(['-', '_']))
            };
            let home = HOMES.iter().find(|(library, _)| is(library)).map(|(_, home)| *home);
            if home.is_some_and(|home| home != manifest.member) {
                let place = format!("{}:{}", manifest.path, dependency.line);
                problems.push(format!("{place}: `{}` belongs to `{}` only", dependency.name, home.unwrap_or_default()));
            }
        }
    }
    problems
}

/// `[lints] workspace = true` in every manifest: without it no lint applies.
pub fn every_crate_has_the_lints(house: &House) -> Problems {
    let without = house.manifests.iter().filter(|manifest| !manifest.has_lints);
    without.map(|manifest| format!("{}: `[lints] workspace = true` is missing", manifest.path)).collect()
}

/// `[profile.dev.package.NAME]` for every crate with code: without it a crate is optimised like a dependency.
pub fn every_crate_has_a_profile(house: &House) -> Problems {
    let named = |name: &String| house.manifests.iter().any(|manifest| manifest.profiles.contains(name));
    let has_code = |name: &str| house.program().any(|source| source.member == name && source.file_name() == "lib.rs");
    let without = house.manifests.iter().filter(|manifest| has_code(&manifest.member) && !named(&manifest.member));
    without.map(|manifest| format!("Cargo.toml: no `[profile.dev.package]` for `{}`", manifest.member)).collect()
}

#[cfg(test)]
mod tests {
    use super::{arrows_point_down, every_crate_has_a_profile, every_crate_has_the_lints, libraries_stay_at_home};
    use crate::House;

    fn house(manifest: &str) -> House {
        House::of([("crates/x/Cargo.toml", manifest)])
    }

    #[test]
    fn an_arrow_up_is_found_in_every_kind_of_table() {
        let up = "[package]\nname = \"stepwell-run\"\n[dependencies]\nserde = \"1\"\nstepwell-base.workspace = true\nstepwell-store.workspace = true\n[dev-dependencies]\nstepwell-engine = { path = \"x\" }\n[target.'cfg(unix)'.dependencies]\nstepwell-config = { workspace = true }\n";
        let expected = [
            "crates/x/Cargo.toml:6: `run` must not depend on `store`",
            "crates/x/Cargo.toml:8: `run` must not depend on `engine`",
            "crates/x/Cargo.toml:10: `run` must not depend on `config`",
        ];
        assert_eq!(arrows_point_down(&house(up)), expected);
    }

    #[test]
    fn tests_may_look_down_but_programs_only_where_planned() {
        let text = |table: &str| {
            format!("[package]\nname = \"stepwell-store\"\n[{table}]\nstepwell-artifact.workspace = true\n")
        };
        assert!(arrows_point_down(&house(&text("dev-dependencies"))).is_empty());
        assert_eq!(arrows_point_down(&house(&text("dependencies"))).len(), 1);
    }

    #[test]
    fn an_unknown_crate_asks_for_a_place() {
        let problems = arrows_point_down(&house("[package]\nname = \"stepwell-shed\"\n"));
        assert_eq!(problems, ["crates/x/Cargo.toml: give `shed` a place in LAYERS"]);
    }

    #[test]
    fn a_library_outside_its_home_is_found() {
        let text = "[package]\nname = \"stepwell-run\"\n[dependencies]\nburn-cubecl.workspace = true\nclap_complete = \"4\"\nburnish = \"1\"\n[dev-dependencies]\nrusqlite = \"0.4\"\n";
        let expected = [
            "crates/x/Cargo.toml:4: `burn-cubecl` belongs to `train` only",
            "crates/x/Cargo.toml:5: `clap_complete` belongs to `stepwell` only",
        ];
        assert_eq!(libraries_stay_at_home(&house(text)), expected);
    }

    #[test]
    fn a_crate_without_lints_is_found() {
        assert_eq!(every_crate_has_the_lints(&house("[package]\nname = \"stepwell-run\"\n")).len(), 1);
        assert!(every_crate_has_the_lints(&house("[package]\nname = \"a\"\n[lints]\nworkspace = true\n")).is_empty());
    }

    #[test]
    fn a_crate_without_a_profile_is_found() {
        let root = "[package]\nname = \"stepwell\"\n[profile.dev.package.stepwell-run]\nopt-level = 0\n";
        let house = |name: &str| {
            let manifest = format!("[package]\nname = \"stepwell-{name}\"\n");
            let files = [("Cargo.toml".to_owned(), root), (format!("crates/{name}/Cargo.toml"), &manifest)];
            let source = (format!("crates/{name}/src/lib.rs"), "");
            House::of(files.iter().chain([&source]).map(|(path, text)| (path.as_str(), *text)))
        };
        assert!(every_crate_has_a_profile(&house("run")).is_empty());
        assert_eq!(every_crate_has_a_profile(&house("store")), ["Cargo.toml: no `[profile.dev.package]` for `store`"]);
    }
}
