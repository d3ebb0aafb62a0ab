//! Tells a person that nobody drives a run.

use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_store::{EngineLock, Reader};

/// Text that names the command which continues a run; `None` if it has ended or an engine drives it.
pub fn undriven(session: &Session, reader: &Reader, id: RunId) -> Option<String> {
    let run = reader.run(id).ok()?;
    if !run.stored_status.is_active() {
        return None;
    }
    let resume = shell::stepwell("resume", [&*handle(reader, &run)]);
    let Some(engine) = EngineLock::holder(session.state_dir()) else {
        return Some(format!("no engine is running: {resume} continues the run"));
    };
    let other = engine.run.filter(|driven| *driven != id)?;
    if reader.ancestors(id).is_ok_and(|above| above.contains(&other)) {
        return None;
    }
    let other = reader.run(other).map_or_else(|_| other.to_string(), |run| run.name);
    Some(format!("{} drives only run `{other}`: {resume} continues this one after it", engine.short()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::lab::{Lab, Sketch};
    use stepwell_run::event::{Event, RunEvent};

    #[test]
    fn only_an_open_run_without_an_engine_is_told() {
        let workflow = "name = \"w\"\n[[step]]\nid = \"ok\"\nkind = \"approval\"\nwith.prompt = \"Ship?\"\n";
        let mut lab = Lab::new();
        let open = lab.run(Sketch { name: "my run", workflow, ..Sketch::default() });
        let ended = lab.run(Sketch { name: "ended", workflow, ..Sketch::default() });
        lab.commit(ended, 1, [Event::Run(RunEvent::Canceled)]);
        let told = |lab: &Lab, run| undriven(&lab.session(), &lab.session().reader().unwrap(), run);
        assert_eq!(told(&lab, open), None, "an engine serves all runs");
        lab.engine_dies();
        let expected = "no engine is running: `stepwell resume 'my run'` continues the run";
        assert_eq!(told(&lab, open).as_deref(), Some(expected));
        assert_eq!(told(&lab, ended), None);
    }
}
