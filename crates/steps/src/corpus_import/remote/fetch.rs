//! Brings the files of a source on a server to the scratch directory.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use ureq::http::Uri;

use super::address::Reach;
use super::client::{Client, Credential, cut, origin};
use super::digests::Checksum;
use super::download::{Got, Wanted, download};
use super::hub::{HubPath, Listing};
use super::place::{Place, Token};
use super::url::Url;
use crate::corpus_documents::write_failure;
use crate::corpus_import::source::SourceFile;
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

const ENDPOINT: &str = "https://huggingface.co";
/// Variable that names another hub, as for Hugging Face's own programs.
const ENDPOINT_VARIABLE: &str = "HF_ENDPOINT";

/// How sources on servers are read.
#[derive(Clone, Debug)]
pub struct Access {
    pub reach: Reach,
    pub token: Option<Token>,
    /// Most bytes of one file.
    pub max_bytes: u64,
    /// The Hugging Face hub.
    pub endpoint: String,
}

/// The hub, which a variable may name.
pub fn endpoint() -> String {
    let named = std::env::var(ENDPOINT_VARIABLE).unwrap_or_default();
    if named.is_empty() { ENDPOINT.to_owned() } else { named }
}

/// A file that is now on this machine.
pub struct Fetched {
    pub file: SourceFile,
    /// Address, size and digests, for the values of the step.
    pub origin: Value,
}

/// Downloads the files of a source, in the order of their names. Files that an earlier attempt has completed stay.
///
/// # Errors
/// Those of the downloads; `Interrupted`.
pub fn fetch(
    context: &mut StepContext<'_>,
    source: &str,
    place: &Place,
    access: &Access,
) -> Result<Vec<Fetched>, StepError> {
    let folder = context.scratch().join("downloads").join(short(source));
    fs::create_dir_all(&folder).map_err(|error| write_failure("the downloads", &error))?;
    match place {
        Place::Url(url) => Ok(vec![fetch_url(context, url, access, &folder)?]),
        Place::Hub(path) => fetch_hub(context, source, path, access, &folder),
    }
}

fn fetch_url(context: &mut StepContext<'_>, url: &Url, access: &Access, folder: &Path) -> Result<Fetched, StepError> {
    let client = client(&url.text, access)?;
    let checksum = url.sha256.clone().map(Checksum::Sha256);
    let wanted = Wanted { url: url.text.clone(), checksum, length: None, max_bytes: access.max_bytes };
    let path = folder.join("0");
    let got = download(context, &client, &wanted, &path)?;
    Ok(fetched(&path, url.file_name(), &wanted.url, &got, None))
}

fn fetch_hub(
    context: &mut StepContext<'_>,
    source: &str,
    hub: &HubPath,
    access: &Access,
    folder: &Path,
) -> Result<Vec<Fetched>, StepError> {
    let endpoint = access.endpoint.trim_end_matches('/');
    let client = client(endpoint, access)?;
    let listing = listing(source, hub, (&client, endpoint), folder)?;
    context.reporter.note(format!(
        "{} is commit {}: {} files, {} bytes",
        cut(source),
        listing.commit,
        listing.files.len(),
        listing.files.iter().map(|file| file.bytes).sum::<u64>()
    ));
    let mut all = Vec::new();
    for (number, file) in listing.files.iter().enumerate() {
        let wanted = Wanted {
            url: hub.file_url(endpoint, &listing.commit, &file.path),
            checksum: Some(file.checksum.clone()),
            length: Some(file.bytes),
            max_bytes: access.max_bytes,
        };
        let path = folder.join(number.to_string());
        let got = download(context, &client, &wanted, &path)?;
        all.push(fetched(&path, file.name.clone(), &wanted.url, &got, Some(&listing.commit)));
    }
    Ok(all)
}

/// The list of an earlier attempt, so that all attempts read the same commit, or a new one.
fn listing(
    source: &str,
    hub: &HubPath,
    (client, endpoint): (&Client, &str),
    folder: &Path,
) -> Result<Listing, Failure> {
    let path = folder.join("listing.json");
    let earlier = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok());
    if let Some(listing) = earlier.filter(|listing| listing.source == source) {
        return Ok(listing);
    }
    let listing = hub.list(source, client, endpoint)?;
    let json = serde_json::to_vec(&listing)
        .map_err(|error| Failure::fatal(format!("cannot write the list of files: {error}")))?;
    // A list cut short by a crash is no JSON and is read again.
    fs::write(&path, json).map_err(|error| write_failure("the list of files", &error))?;
    Ok(listing)
}

fn client(url: &str, access: &Access) -> Result<Client, Failure> {
    let uri: Uri = url.parse().map_err(|_| Failure::fatal(format!("{} is no address", cut(url))))?;
    let credential = match &access.token {
        None => None,
        Some(_) if uri.scheme_str() != Some("https") && access.reach == Reach::Public => {
            return Err(Failure::fatal(format!("{} is not encrypted: it would show the token", cut(&origin(&uri))))
                .with_hint("use https, or leave `token` out"));
        }
        Some(token) => Some(Credential { token: token.read()?, origin: origin(&uri) }),
    };
    Ok(Client::new(access.reach, credential))
}

fn fetched(path: &Path, name: String, url: &str, got: &Got, commit: Option<&str>) -> Fetched {
    let origin = json!({
        "url": url,
        "bytes": got.bytes,
        "sha256": got.sha256,
        "etag": got.etag,
        "commit": commit,
    });
    Fetched { file: SourceFile::downloaded(path.to_owned(), name, url.to_owned()), origin }
}

/// Name of the folder of a source.
fn short(source: &str) -> PathBuf {
    PathBuf::from(&blake3::hash(source.as_bytes()).to_hex()[..16])
}
