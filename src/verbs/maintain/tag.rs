//! `stepwell tag RUN [TAG...] [--remove TAG]`

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::remark::Tag;
use stepwell_store::{Remark, Store};

/// Give a run tags, or print those that it has
///
/// `list --tag TAG` finds runs by tag. A run has at most 32 tags; any process may change them at any time.
#[derive(Args, Debug)]
pub struct TagArgs {
    /// Id, unique start of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Tags to add
    #[arg(value_name = "TAG")]
    pub add: Vec<Tag>,
    /// Remove this tag (repeatable)
    #[arg(long, short_alias = 'd', aliases = ["delete", "rm"], value_name = "TAG")]
    pub remove: Vec<Tag>,
}

pub fn tag(session: &Session, args: &TagArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let name = reader.run(id)?.name;
    let tags = if args.add.is_empty() && args.remove.is_empty() {
        reader.annotation(id)?.tags
    } else {
        drop(reader);
        let remark =
            Remark::Tags { add: args.add.iter().cloned().collect(), remove: args.remove.iter().cloned().collect() };
        Store::open(session.state_dir())?.remark(id, &remark, Timestamp::now())?.tags
    };
    let human = if tags.is_empty() {
        format!("run {id} ({name}) has no tags")
    } else {
        format!("run {id} ({name}) has the tags {}", words(&tags))
    };
    session.out.document(&human, json!({ "run": { "id": id, "name": name }, "tags": tags }))?;
    Ok(Exit::Ok)
}

fn words(tags: &BTreeSet<Tag>) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}
