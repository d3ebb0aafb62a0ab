//! The part of a `Cargo.toml` that the rules need.

/// A member of the workspace.
pub struct Manifest {
    pub path: String,
    /// Package name without the prefix `stepwell-`.
    pub member: String,
    pub dependencies: Vec<Dependency>,
    /// True if the workspace's lints apply.
    pub has_lints: bool,
    /// Members that have a `[profile.dev.package.NAME]`.
    pub profiles: Vec<String>,
}

pub struct Dependency {
    pub name: String,
    /// True under `[dev-dependencies]`.
    pub dev: bool,
    pub line: usize,
}

impl Manifest {
    pub fn parse(path: &str, text: &str) -> Manifest {
        let mut manifest = Manifest {
            path: path.to_owned(),
            member: String::new(),
            dependencies: Vec::new(),
            has_lints: false,
            profiles: Vec::new(),
        };
        let mut section = "";
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
                let profile = section.strip_prefix("profile.dev.package.");
                manifest.profiles.extend(profile.map(|name| member(name).to_owned()));
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
            let (key, value) = (key.trim(), value.trim());
            match section {
                "package" if key == "name" => manifest.member = member(value.trim_matches('"')).to_owned(),
                "lints" if key == "workspace" => manifest.has_lints = value == "true",
                "workspace.dependencies" => {}
                _ if section.ends_with("dependencies") => manifest.dependencies.push(Dependency {
                    name: key.split('.').next().unwrap_or_default().to_owned(),
                    dev: section.ends_with("dev-dependencies"),
                    line: index + 1,
                }),
                _ => {}
            }
        }
        manifest
    }
}

/// The name of one of our packages without its prefix.
pub fn member(package: &str) -> &str {
    package.strip_prefix("stepwell-").unwrap_or(package)
}
