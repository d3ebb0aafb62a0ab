//! The bar of a working step on a terminal.

use std::fmt;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use stepwell_base::protocol::Progress;

/// Until a step tells how much there is to do.
pub fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>12} {spinner} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>12} [{bar:24}] {pos}/{len}  eta {left}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A bar that cannot be drawn must not stop the run.
            let _ = match state.per_sec() > 0.0 {
                true => write!(text, "{:#}", HumanDuration(state.eta())),
                false => write!(text, "?"),
            };
        })
        .progress_chars("=> ")
}

/// Moves a bar. Neither what a resumed step finds done nor an earlier part of the same step counts in its speed.
pub fn advance(bar: &ProgressBar, progress: &Progress) {
    if progress.total > 0 && bar.length() != Some(progress.total) {
        bar.set_style(style());
        bar.update(|state| state.set_pos(progress.done));
        bar.set_length(progress.total);
        bar.reset_eta();
    }
    bar.set_position(progress.done);
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn progress(done: u64, total: u64) -> Progress {
        Progress { done, total, unit: "steps".to_owned(), message: String::new() }
    }

    #[test]
    fn a_resumed_step_is_not_thought_to_have_done_everything_just_now() {
        let bar = ProgressBar::hidden();
        advance(&bar, &progress(140, 1200));
        for done in 141..=143 {
            sleep(Duration::from_millis(20));
            advance(&bar, &progress(done, 1200));
            bar.tick();
        }
        // 1,057 steps of at least 20 ms are left.
        assert!(bar.eta() > Duration::from_secs(10), "{:?}", bar.eta());
    }

    #[test]
    fn a_second_part_begins_with_a_speed_of_its_own() {
        let bar = ProgressBar::hidden();
        for done in [0, 600_000, 609_000] {
            sleep(Duration::from_millis(5));
            advance(&bar, &progress(done, 609_000));
            bar.tick();
        }
        for done in 1..=3 {
            sleep(Duration::from_millis(20));
            advance(&bar, &progress(done, 1000));
            bar.tick();
        }
        assert_eq!(bar.length(), Some(1000));
        assert!(bar.eta() > Duration::from_secs(10), "{:?}", bar.eta());
    }
}
