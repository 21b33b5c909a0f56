//! Limits the number of warnings in the program's own log. Each place in the code can log a number of warnings in a
//! time window. Then the log reports how many warnings it omitted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// The maximum number of warnings and errors from one place in the code in one window.
const MAX_PER_WINDOW: u64 = 10;

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(10);

/// The target of warnings and errors that are never limited, because each has unique information. Requests do not cause
/// them.
pub const UNLIMITED: &str = "chat_signer/unlimited";

/// Counts the warnings and errors of each place in the code. The number of places is fixed.
#[derive(Clone, Debug, Default)]
pub(super) struct LogLimit(Arc<Mutex<HashMap<Identifier, Window>>>);

/// The events from one place since the window began.
#[derive(Debug)]
struct Window {
    place: &'static Metadata<'static>,
    began: Instant,
    count: u64,
}

impl LogLimit {
    /// Returns whether an event from this place is logged.
    fn admits(&self, place: &'static Metadata<'static>, now: Instant) -> bool {
        if *place.level() > Level::WARN || place.target() == UNLIMITED {
            return true;
        }
        let mut windows = self.lock();
        let window = windows.entry(place.callsite()).or_insert(Window { place, began: now, count: 0 });
        window.count += 1;
        window.count <= MAX_PER_WINDOW
    }

    /// Returns how many events were omitted, and where, in windows that are over. At the end of the program, in all
    /// windows.
    fn take_omitted(&self, now: Instant, is_end: bool) -> (u64, String) {
        let is_over = |window: &Window| is_end || now.saturating_duration_since(window.began) >= WINDOW;
        let over: Vec<Window> = self.lock().extract_if(|_, window| is_over(window)).map(|(_, window)| window).collect();
        let left_out = over.iter().filter_map(|window| Some((window, window.count.checked_sub(MAX_PER_WINDOW)?)));
        let left_out: Vec<_> = left_out.filter(|(_, count)| *count > 0).collect();
        let shown = left_out.iter().map(|(Window { place, .. }, count)| {
            format!("{count} from {}:{}", place.file().unwrap_or("?"), place.line().unwrap_or(0))
        });
        (left_out.iter().map(|(_, count)| count).sum(), shown.collect::<Vec<_>>().join(", "))
    }

    /// Logs how many events were omitted, if there are any.
    pub(super) fn report(&self, is_end: bool) {
        let (count, places) = self.take_omitted(Instant::now(), is_end);
        if count > 0 {
            tracing::warn!(target: UNLIMITED, left_out = count, "too many warnings, some were left out: {places}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Filter<S> for LogLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tracing::Callsite as _;

    use super::*;

    fn warning() -> &'static Metadata<'static> {
        tracing::callsite!(name: "warning", kind: tracing::metadata::Kind::EVENT, target: "tests", level: Level::WARN, fields: message)
            .metadata()
    }

    #[test]
    fn warnings_above_the_limit_are_counted() {
        let (limit, place, start) = (LogLimit::default(), warning(), Instant::now());
        let taken = |now: Instant| (0..1000).filter(|_| limit.admits(place, now)).count() as u64;
        assert_eq!(taken(start), MAX_PER_WINDOW);
        assert_eq!(limit.take_omitted(start + WINDOW / 2, false), (0, String::new()), "its span is not over");
        let (count, places) = limit.take_omitted(start + WINDOW, false);
        assert_eq!(count, 1000 - MAX_PER_WINDOW);
        assert!(places.starts_with("990 from src/telemetry/log_limit.rs:"), "{places}");
        assert_eq!(taken(start + WINDOW), MAX_PER_WINDOW, "a new span begins");
        assert_eq!(
            limit.take_omitted(start + WINDOW, true).0,
            1000 - MAX_PER_WINDOW,
            "at the end all windows are reported"
        );
        assert_eq!(limit.take_omitted(start + 2 * WINDOW, true), (0, String::new()));
    }
}
