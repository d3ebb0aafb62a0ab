//! Causes of pauses and releases. Their reason texts are for people only.

use serde::{Deserialize, Serialize};

/// Decides what ends a pause; the reason text is for people only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// Lasts until a person resumes the run.
    Person,
    /// Lasts until a person resumes the run, like [`PauseCause::Person`].
    Budget,
    /// Lasts as long as the pause of the parent run.
    Parent,
}

/// Tells why an attempt was released; the reason text is for people only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseCause {
    /// Repeated occurrences fail the step, because the step itself may kill the engine.
    EngineDied,
    /// The engine or the run was stopped, the disk was full, or the attempt made progress before it was lost.
    Stopped,
}

impl PauseCause {
    /// The reason text that builds without causes wrote for [`PauseCause::Parent`].
    const PARENT_REASON: &str = "its parent run is paused";

    /// Returns the cause of an event; events of older builds have it in their reason text.
    pub fn recorded(cause: Option<PauseCause>, reason: &str) -> PauseCause {
        cause.unwrap_or(if reason == Self::PARENT_REASON { PauseCause::Parent } else { PauseCause::Person })
    }
}

impl ReleaseCause {
    /// The reason text that builds without causes wrote for [`ReleaseCause::EngineDied`].
    const ENGINE_DIED_REASON: &str = "the engine that ran this attempt died";

    /// Returns the cause of an event; events of older builds have it in their reason text.
    pub fn recorded(cause: Option<ReleaseCause>, reason: &str) -> ReleaseCause {
        cause.unwrap_or(if reason == Self::ENGINE_DIED_REASON {
            ReleaseCause::EngineDied
        } else {
            ReleaseCause::Stopped
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, RunEvent, StepEvent, StepEventKind};
    use super::*;

    fn read(json: &str) -> Event {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn causes_of_events_of_older_builds_are_read_from_their_text() {
        let pause = |json: &str| match read(json) {
            Event::Run(RunEvent::Paused { cause, reason }) => PauseCause::recorded(cause, &reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(r#"{"type":"run_paused","reason":"its parent run is paused"}"#), PauseCause::Parent);
        assert_eq!(pause(r#"{"type":"run_paused","reason":"lunch"}"#), PauseCause::Person);
        let release = |json: &str| match read(json) {
            Event::Step(StepEvent { kind: StepEventKind::AttemptReleased { cause, reason }, .. }) => {
                ReleaseCause::recorded(cause, &reason)
            }
            other => panic!("{other:?}"),
        };
        let died =
            r#"{"type":"attempt_released","step":"a","fence":1,"reason":"the engine that ran this attempt died"}"#;
        assert_eq!(release(died), ReleaseCause::EngineDied);
        assert_eq!(release(&died.replace("the engine that ran this attempt died", "SIGTERM")), ReleaseCause::Stopped);
    }

    #[test]
    fn the_words_of_a_person_decide_nothing() {
        let reason = PauseCause::PARENT_REASON.to_owned();
        let written = Event::Run(RunEvent::Paused { reason, cause: Some(PauseCause::Person) });
        let Event::Run(RunEvent::Paused { reason, cause }) = read(&serde_json::to_string(&written).unwrap()) else {
            panic!()
        };
        assert_eq!(PauseCause::recorded(cause, &reason), PauseCause::Person);
    }
}
