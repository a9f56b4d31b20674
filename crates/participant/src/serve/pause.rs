//! How long a message rests before it is given back: longer each time, since what did not mend in
//! the pause before will not mend in as short a one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// After the first time.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// The longest: some brokers (NATS, SQS) take a message that is held for 30 s for lost, and bring
/// it to another copy of the service while it rests here.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How many commands are remembered. A service with more of them that do not mend has another
/// trouble; all of them begin anew then.
const COMMANDS_MAX: usize = 1000;

/// How often each command was given back in a row.
#[derive(Default)]
pub(crate) struct Pauses(Mutex<HashMap<String, u32>>);

impl Pauses {
    /// How long this command rests now.
    pub(crate) fn next(&self, key: String) -> Duration {
        let mut given_back = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given_back.len() >= COMMANDS_MAX && !given_back.contains_key(&key) {
            given_back.clear();
        }
        let times = given_back.entry(key).or_default();
        let pause = PAUSE.saturating_mul(2u32.saturating_pow(*times));
        *times = times.saturating_add(1);
        pause.min(PAUSE_MAX)
    }

    /// It was answered.
    pub(crate) fn end(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(pauses: &Pauses, key: &str) -> u128 {
        pauses.next(key.to_owned()).as_millis()
    }

    #[test]
    fn each_pause_of_a_command_is_twice_the_one_before_up_to_a_limit() {
        let pauses = Pauses::default();
        let rests: Vec<_> = (0..8).map(|_| millis(&pauses, "a")).collect();
        assert_eq!(rests, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(millis(&pauses, "b"), 200, "another command's are its own");
        for _ in 0..100 {
            assert_eq!(millis(&pauses, "a"), 10_000);
        }
        pauses.end("a");
        assert_eq!(millis(&pauses, "a"), 200);
    }

    #[test]
    fn no_more_commands_are_remembered_than_may_be() {
        let pauses = Pauses::default();
        for n in 0..3 * COMMANDS_MAX {
            millis(&pauses, &n.to_string());
            assert!(pauses.0.lock().unwrap().len() <= COMMANDS_MAX);
        }
    }
}
