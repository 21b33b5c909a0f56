//! Decides when changed files are read.

use crate::config::SourceFiles;

/// How many checks in a row must find the files unchanged before they are read.
const STABLE_CHECKS: u32 = 2;

/// How many checks can find changed files without a read before this is reported.
const MAX_UNSTABLE_CHECKS: u32 = 50;

/// The state of the files.
pub(super) struct FileWatcher {
    /// The files at the last read, unless they changed during the read.
    last_read: Option<SourceFiles>,
    /// The files at the last check.
    seen: SourceFiles,
    /// How many checks in a row have found this state.
    stable_checks: u32,
    /// The number of checks since the files began to differ from the last read.
    unstable_checks: u32,
    /// Whether a read is requested even if the files have not changed.
    read_requested: bool,
}

impl FileWatcher {
    /// Creates a watcher for files that have just been read.
    pub(super) fn new(read: SourceFiles) -> FileWatcher {
        FileWatcher {
            seen: read.clone(),
            last_read: Some(read),
            stable_checks: 0,
            unstable_checks: 0,
            read_requested: false,
        }
    }

    /// Returns the files at the last check.
    pub(super) fn last_seen(&self) -> &SourceFiles {
        &self.seen
    }

    /// Requests a read at the next check.
    pub(super) fn request_read(&mut self) {
        self.read_requested = true;
    }

    /// Returns true if the files must be read. `now` is their state at this check.
    pub(super) fn is_due(&mut self, now: SourceFiles) -> bool {
        self.stable_checks = if now.has_same_content_as(&self.seen) { self.stable_checks.saturating_add(1) } else { 0 };
        self.seen = now;
        let is_known = self.last_read.as_ref().is_some_and(|read| read.has_same_content_as(&self.seen));
        self.unstable_checks = if is_known { 0 } else { self.unstable_checks.saturating_add(1) };
        std::mem::take(&mut self.read_requested) || !is_known && self.stable_checks >= STABLE_CHECKS
    }

    /// Returns true once when the files change too often to be read. This state ends with the next read, even if the
    /// files then have their earlier contents.
    pub(super) fn became_unstable(&mut self) -> bool {
        let is_restless = self.unstable_checks == MAX_UNSTABLE_CHECKS;
        if is_restless {
            self.last_read = None;
        }
        is_restless
    }

    /// Records which files were read and their state after the read. Returns true if both are the same. If they differ,
    /// parts of two states may have been read, so the files must be read again.
    pub(super) fn record_read(&mut self, sources: SourceFiles, after: SourceFiles) -> bool {
        let is_whole = sources.has_same_content_as(&after);
        self.last_read = is_whole.then_some(sources);
        self.seen = after;
        self.stable_checks = 0;
        if is_whole {
            self.unstable_checks = 0;
        }
        is_whole
    }

    /// Ignores the files until they change again.
    pub(super) fn ignore_until_changed(&mut self) {
        self.last_read = Some(self.seen.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::config;

    /// Returns the states of a file with each of these texts.
    fn states<const N: usize>(name: &str, texts: [&str; N]) -> [SourceFiles; N] {
        let path = std::env::temp_dir().join(format!("chat-signer-watch-{}-{name}", std::process::id()));
        let states = texts.map(|text| {
            fs::write(&path, text).unwrap();
            config::load(&path).sources
        });
        fs::remove_file(path).unwrap();
        states
    }

    #[test]
    fn files_that_never_stand_still_long_enough_are_restless() {
        let [known, one, other] = states("restless", ["known", "one", "other"]);
        let mut watch = FileWatcher::new(known);
        let mut told = 0;
        // Each state lasts for two checks, which is one too few.
        for state in [&one, &one, &other, &other].into_iter().cycle().take(200) {
            assert!(!watch.is_due(state.clone()));
            told += u32::from(watch.became_unstable());
        }
        assert_eq!(told, 1);
    }

    #[test]
    fn restless_files_are_read_once_they_are_quiet_whatever_they_hold() {
        let [known, one, other] = states("quiet", ["known", "one", "other"]);
        let mut watch = FileWatcher::new(known.clone());
        for state in [&one, &other].into_iter().cycle().take(60) {
            assert!(!watch.is_due(state.clone()));
            watch.became_unstable();
        }
        let mut look = || watch.is_due(known.clone());
        assert_eq!([look(), look(), look()], [false, false, true]);
        assert!(watch.record_read(known.clone(), known.clone()));
        assert!(!(0..100).any(|_| watch.is_due(known.clone()) || watch.became_unstable()));
    }
}
