//! `stepwell list`

mod args;
mod page;
mod rows;
mod sort;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::annotation::add_json;
use crate::view::effort::Effort;
use crate::view::output::run_json;
pub use args::ListArgs;
use page::{Listed, Page, page};
use rows::{Columns, text};
pub use sort::full_value_name;
use stepwell_store::{Unreadable, WaitRow};

pub fn list(session: &Session, args: &ListArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let (page, waits) = (page(session, &reader, args)?, reader.waits()?);
    let human = text(&page, &Columns::of(args, &page)?, &waits);
    session.out.document(&session.out.pasteable(&human), json(&page, args, &waits))?;
    Ok(Exit::Ok)
}

fn json(page: &Page, args: &ListArgs, waits: &[WaitRow]) -> Value {
    let of_run = |listed: &Listed| {
        let Listed { run, effort, alerts, damage, params, sorted_by, annotation, .. } = listed;
        let mut fields = run_json(run);
        add_json(&mut fields, annotation);
        fields["waits"] = waits.iter().filter(|wait| wait.run == run.id).map(wait_json).collect();
        fields["alerts"] = json!(alerts.iter().map(|alert| alert.as_str()).collect::<Vec<_>>());
        fields["effort"] = json!(effort.as_ref().map(Effort::json));
        fields["damage"] = json!(damage);
        fields["changed_params"] = json!(params.changed());
        if !args.params.is_empty() {
            let columns = args.params.iter().map(|name| (name.clone(), json!(listed.params.at(name))));
            fields["columns"] = Value::Object(columns.collect::<Map<_, _>>());
        }
        if args.sort.is_some() {
            fields["sorted_by"] = json!(sorted_by);
        }
        fields
    };
    let unreadable = |run: &Unreadable| json!({ "id": run.id, "name": run.name, "damage": run.why });
    let unreadable: Vec<Value> = page.unreadable.iter().map(unreadable).collect();
    let runs: Vec<Value> = page.runs.iter().map(of_run).collect();
    json!({ "runs": runs, "unreadable": unreadable, "more": page.more })
}

fn wait_json(row: &WaitRow) -> Value {
    let mut fields = json!(row.wait);
    fields["step"] = json!(row.step);
    fields
}
