//! When a message is sent again.

use std::time::Duration;

/// Longest wait that a receiver may ask for with `Retry-After`.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);
/// Parts of a wait, in hundredths, by which jitter may lengthen it.
const JITTER: u64 = 20;

/// The wait after so many attempts, or `None` if they were enough. Messages that failed together are not sent again together:
/// jitter is a function of the id.
pub(super) fn wait(retries: &[Duration], attempts: u32, asked: Option<Duration>, id: &str) -> Option<Duration> {
    let planned = *retries.get(attempts.saturating_sub(1) as usize)?;
    let hash = blake3::hash(format!("{id} {attempts}").as_bytes());
    let random = u64::from_le_bytes(std::array::from_fn(|index| hash.as_bytes()[index])) % (JITTER + 1);
    let jittered = planned + planned.mul_f64(random as f64 / 100.0);
    Some(jittered.max(asked.unwrap_or_default().min(LONGEST_ASKED)))
}

/// The longest wait there can be. A later time is that of a clock that was set back.
pub(super) fn longest(retries: &[Duration]) -> Duration {
    let planned = retries.iter().max().copied().unwrap_or_default();
    (planned + planned.mul_f64(JITTER as f64 / 100.0)).max(LONGEST_ASKED)
}

/// The wait of a receiver that has not answered so many times in a row, so that its other messages do not all wait for its
/// timeout one after the other.
pub(super) fn rest(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(300), Duration::from_secs(36_000)];

    #[test]
    fn waits_grow_with_jitter_and_end() {
        for number in 0..200 {
            let id = format!("msg_{number}");
            for (attempts, planned) in (1..).zip(RETRIES) {
                let wait = wait(&RETRIES, attempts, None, &id).unwrap();
                assert!(wait >= planned && wait <= planned.mul_f64(1.2), "{wait:?}");
                assert!(wait <= longest(&RETRIES));
            }
            assert_eq!(wait(&RETRIES, 4, None, &id), None);
        }
        let waits: std::collections::BTreeSet<Duration> =
            (0..200).filter_map(|number| wait(&RETRIES, 3, None, &number.to_string())).collect();
        assert!(waits.len() > 15, "jitter spreads them: {}", waits.len());
    }

    #[test]
    fn a_receiver_may_ask_for_more_but_not_for_ever() {
        let asked = |seconds| wait(&RETRIES, 1, Some(Duration::from_secs(seconds)), "a").unwrap();
        assert!(asked(1) >= RETRIES[0]);
        assert_eq!(asked(600), Duration::from_secs(600));
        assert_eq!(asked(u64::MAX), LONGEST_ASKED);
    }
}
