//! Datasets and models of the Hugging Face hub: `hf://datasets/OWNER/NAME@REVISION/PATH`. The revision is resolved to a
//! commit once; lists and files are then those of the commit.

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::client::{Client, cut, header, origin};
use super::digests::Checksum;
use super::url::{decoded, encoded};
use crate::corpus_import::source::{format_of, is_glob};
use stepwell_base::failure::Failure;

/// Most bytes of one page of a list.
const LARGEST_PAGE: u64 = 32 << 20;
const MOST_PAGES: usize = 1000;
const MOST_FILES: usize = 100_000;

const FORM: &str = "such a source looks like `hf://datasets/OWNER/NAME@REVISION/PATH`, for a model without `datasets/`; \
    PATH is a file, a folder or a glob";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HubPath {
    /// `datasets` or `models`.
    kind: &'static str,
    repository: String,
    pub revision: String,
    path: String,
}

/// A file of a repository.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HubFile {
    /// Path in the repository.
    pub path: String,
    /// Path relative to the folder that the source names.
    pub name: String,
    pub bytes: u64,
    pub checksum: Checksum,
}

/// The files of a source at one commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    pub source: String,
    pub commit: String,
    pub files: Vec<HubFile>,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    oid: String,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl HubPath {
    /// # Errors
    /// When the source does not have the form, or names no revision.
    pub fn parse(source: &str) -> Result<HubPath, Failure> {
        let refused = |why: &str| Failure::fatal(format!("source {:?} {why}", cut(source))).with_hint(FORM);
        let rest = source.get(5..).unwrap_or_default();
        let (kind, rest) = match (rest.strip_prefix("datasets/"), rest.strip_prefix("models/")) {
            (Some(rest), _) => ("datasets", rest),
            (None, Some(rest)) => ("models", rest),
            (None, None) => ("models", rest),
        };
        let (owner, rest) = rest.split_once('/').ok_or_else(|| refused("names no repository"))?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, revision) = name.split_once('@').ok_or_else(|| {
            refused("names no revision").with_hint("add `@` and a commit after the name; `@main` is what is newest now")
        })?;
        let part = |text: &str| {
            !text.is_empty()
                && !text.starts_with('.')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !part(owner) || !part(name) {
            return Err(refused("names no repository"));
        }
        let revision = decoded(&revision.replace("%2F", "/").replace("%2f", "/"));
        let valid =
            revision.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) && !revision.contains("..");
        if revision.is_empty() || !valid {
            return Err(refused("names no revision"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(refused("leaves its repository"));
        }
        Ok(HubPath { kind, repository: format!("{owner}/{name}"), revision, path: path.trim_matches('/').to_owned() })
    }

    /// Address of a file at a commit.
    pub fn file_url(&self, endpoint: &str, commit: &str, path: &str) -> String {
        let folder = if self.kind == "datasets" { "datasets/" } else { "" };
        format!("{endpoint}/{folder}{}/resolve/{commit}/{}", self.repository, encoded(path))
    }

    fn api(&self, endpoint: &str) -> String {
        format!("{endpoint}/api/{}/{}", self.kind, self.repository)
    }

    /// Resolves the revision and lists the files.
    ///
    /// # Errors
    /// When the hub cannot be reached, refuses, or has nothing to import there.
    pub fn list(&self, source: &str, client: &Client, endpoint: &str) -> Result<Listing, Failure> {
        let url = format!("{}/revision/{}", self.api(endpoint), encoded(&self.revision).replace('/', "%2F"));
        let revision: Revision = self.read(client, &url)?.0;
        let commit = revision.sha;
        if commit.len() < 7 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(odd(endpoint, "a commit that is no hexadecimal number"));
        }
        let mut files = self.matching(client, endpoint, &commit)?;
        files.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
        if files.is_empty() {
            return Err(Failure::fatal(format!("source {}: there is no file to import", cut(source)))
                .with_hint("check the path; folders are searched for text and JSON lines"));
        }
        Ok(Listing { source: source.to_owned(), commit, files })
    }

    fn matching(&self, client: &Client, endpoint: &str, commit: &str) -> Result<Vec<HubFile>, Failure> {
        if is_glob(&self.path) {
            let glob = GlobBuilder::new(&self.path).literal_separator(true).build();
            let matcher =
                glob.map_err(|error| Failure::fatal(format!("glob {}: {error}", cut(&self.path))).with_hint(FORM))?;
            let matcher = matcher.compile_matcher();
            let literal: Vec<&str> = self.path.split('/').take_while(|part| !is_glob(part)).collect();
            let base = literal.join("/");
            let entries = self.tree(client, endpoint, commit, (&base, "?recursive=true"))?;
            return entries
                .into_iter()
                .filter(|entry| matcher.is_match(&entry.path))
                .map(|entry| entry.file(&base))
                .collect();
        }
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !self.path.is_empty() {
            let entries = self.tree(client, endpoint, commit, (parent, ""))?;
            let found = entries.into_iter().find(|entry| entry.path == self.path);
            match found {
                Some(entry) if entry.kind == "file" => return Ok(vec![entry.file(parent)?]),
                Some(_) => {}
                None => {
                    return Err(Failure::fatal(format!("{} has no {}", self.repository, cut(&self.path)))
                        .with_hint("check the path and the revision"));
                }
            }
        }
        let entries = self.tree(client, endpoint, commit, (&self.path, "?recursive=true"))?;
        let wanted = |entry: &Entry| {
            let hidden = entry.path.split('/').any(|part| part.starts_with('.'));
            !hidden && format_of(std::path::Path::new(&entry.path)).0.is_some()
        };
        entries.into_iter().filter(wanted).map(|entry| entry.file(&self.path)).collect()
    }

    /// Reads all pages of a list.
    fn tree(
        &self,
        client: &Client,
        endpoint: &str,
        commit: &str,
        (folder, query): (&str, &str),
    ) -> Result<Vec<Entry>, Failure> {
        let folder = if folder.is_empty() { String::new() } else { format!("/{}", encoded(folder)) };
        let mut url = format!("{}/tree/{commit}{folder}{query}", self.api(endpoint));
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..MOST_PAGES {
            let (page, next): (Vec<Entry>, _) = self.read(client, &url)?;
            entries.extend(page.into_iter().filter(|entry| entry.kind == "file" || query.is_empty()));
            if entries.len() > MOST_FILES {
                return Err(Failure::fatal(format!("{} has more than {MOST_FILES} files there", self.repository))
                    .with_hint("name a folder or a glob with fewer"));
            }
            let Some(next) = next else { return Ok(entries) };
            if same_origin(&next, &url) != Some(true) {
                return Err(odd(endpoint, "a next page on another server"));
            }
            url = next;
        }
        Err(odd(endpoint, "a list without end"))
    }

    /// Reads JSON, and the address of the next page.
    fn read<T: for<'de> Deserialize<'de>>(&self, client: &Client, url: &str) -> Result<(T, Option<String>), Failure> {
        let mut answer = client.get(url, &[("accept", "application/json")])?;
        let status = answer.status().as_u16();
        let next = header(answer.headers(), "link").and_then(|link| next_page(&link));
        match status {
            200 => {}
            401 | 403 | 404 => {
                return Err(Failure::fatal(format!(
                    "the hub has no {} at revision {}, or does not show it (status {status})",
                    self.repository,
                    cut(&self.revision)
                ))
                .with_hint("check the name; for a private repository set `token = { env = \"HF_TOKEN\" }`"));
            }
            408 | 425 | 429 | 500..=599 => {
                return Err(Failure::retryable(format!("the hub answered {} with status {status}", cut(url)))
                    .with_hint("a later attempt asks again"));
            }
            _ => return Err(odd(url, &format!("status {status}"))),
        }
        let body = answer.body_mut().with_config().limit(LARGEST_PAGE).read_to_vec();
        let body = body.map_err(|error| {
            Failure::retryable(format!("the answer of {} cannot be read: {}", cut(url), cut(&error.to_string())))
        })?;
        let value = serde_json::from_slice(&body).map_err(|error| odd(url, &cut(&error.to_string())))?;
        Ok((value, next))
    }
}

impl Entry {
    fn file(self, base: &str) -> Result<HubFile, Failure> {
        let unsafe_path =
            self.path.starts_with('/') || self.path.split('/').any(|part| part.is_empty() || part == "..");
        if unsafe_path {
            return Err(odd("the hub", "a path that leaves its repository"));
        }
        let name = self.path.strip_prefix(base).unwrap_or(&self.path).trim_start_matches('/').to_owned();
        let (bytes, checksum) = match self.lfs {
            Some(Lfs { oid, size }) => (size, Checksum::Sha256(oid.trim_start_matches("sha256:").to_ascii_lowercase())),
            None => (self.size, Checksum::GitBlob(self.oid.to_ascii_lowercase())),
        };
        Ok(HubFile { name, path: self.path, bytes, checksum })
    }
}

/// Address of the next page, of `Link: <https://...>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

fn same_origin(one: &str, other: &str) -> Option<bool> {
    let origin_of = |url: &str| url.parse::<Uri>().ok().map(|uri| origin(&uri));
    Some(origin_of(one)? == origin_of(other)?)
}

fn odd(what: &str, why: &str) -> Failure {
    Failure::fatal(format!("{} does not answer like the Hugging Face hub: {why}", cut(what)))
        .with_hint("check the variable HF_ENDPOINT")
}
