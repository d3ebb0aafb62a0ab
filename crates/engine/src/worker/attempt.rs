//! Runs the handler of one attempt and turns every outcome, including a panic, into its last message.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stepwell_artifact::ArtifactStore;
use stepwell_base::failure::{Failure, too_much};
use stepwell_base::json;
use stepwell_base::protocol::{AttemptRequest, FromAttempt};
use stepwell_steps::{Reporter, StepContext, StepError, find};

/// Runs the attempt to its end and returns the last message of the protocol.
pub fn perform(request: &AttemptRequest, artifacts: &ArtifactStore, reporter: &mut dyn Reporter) -> FromAttempt {
    let Some(handler) = find(&request.kind) else {
        return FromAttempt::Failed(Failure::fatal(format!("this build has no step kind `{}`", request.kind)));
    };
    let run = AssertUnwindSafe(|| handler.run(&mut StepContext { request, artifacts, reporter }));
    match catch_unwind(run) {
        Ok(Ok(outputs)) => match json::check_values(outputs.values.values()) {
            Ok(()) => FromAttempt::Done(outputs),
            Err(error) => FromAttempt::Failed(too_much("the values of the step", error)),
        },
        Ok(Err(StepError::Failed(failure))) => FromAttempt::Failed(failure),
        Ok(Err(StepError::Interrupted)) => FromAttempt::Interrupted,
        Err(panic) => {
            let message = format!("step kind `{}` panicked: {}", request.kind, panic_message(panic.as_ref()));
            let failure =
                Failure::fatal(message).with_hint("this is a bug in stepwell; the attempt's log has the place");
            FromAttempt::Failed(failure)
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
