//! When files that change are to be read.

use crate::config::SourceFiles;

/// How many times in a row they must look the same before they are read.
const QUIET: u32 = 2;

/// How many times they may be looked at without being read, since they changed, before that is told.
const RESTLESS: u32 = 50;

/// What is known of the files.
pub(super) struct FileWatcher {
    /// As they were read last, if they stood still meanwhile.
    read: Option<SourceFiles>,
    /// As they were seen last.
    seen: SourceFiles,
    /// How many times in a row they have looked like this.
    quiet: u32,
    /// How many times they have been looked at since they changed from what was read.
    restless: u32,
    /// Whether they are to be read whatever they look like.
    demanded: bool,
}

impl FileWatcher {
    /// Of files that have just been read.
    pub(super) fn new(read: SourceFiles) -> FileWatcher {
        FileWatcher { seen: read.clone(), read: Some(read), quiet: 0, restless: 0, demanded: false }
    }

    /// As they were seen last.
    pub(super) fn seen(&self) -> &SourceFiles {
        &self.seen
    }

    /// Has them read at the next look.
    pub(super) fn demand(&mut self) {
        self.demanded = true;
    }

    /// Whether they are to be read, now that they look like this.
    pub(super) fn is_due(&mut self, now: SourceFiles) -> bool {
        self.quiet = if now.hold_the_same_as(&self.seen) { self.quiet.saturating_add(1) } else { 0 };
        self.seen = now;
        let is_known = self.read.as_ref().is_some_and(|read| read.hold_the_same_as(&self.seen));
        self.restless = if is_known { 0 } else { self.restless.saturating_add(1) };
        std::mem::take(&mut self.demanded) || !is_known && self.quiet >= QUIET
    }

    /// Whether they have just been found to change so often that they are never read. That will be over once they are read, be it as
    /// they were before.
    pub(super) fn is_restless(&mut self) -> bool {
        let is_restless = self.restless == RESTLESS;
        if is_restless {
            self.read = None;
        }
        is_restless
    }

    /// Notes what was read, and how it looked afterwards. Whether that is the same: what changed meanwhile may be half of one state
    /// and half of another, and is to be read again.
    pub(super) fn was_read(&mut self, sources: SourceFiles, after: SourceFiles) -> bool {
        let is_whole = sources.hold_the_same_as(&after);
        self.read = is_whole.then_some(sources);
        self.seen = after;
        self.quiet = 0;
        if is_whole {
            self.restless = 0;
        }
        is_whole
    }

    /// Leaves them until they change again.
    pub(super) fn give_up(&mut self) {
        self.read = Some(self.seen.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::config;

    /// A file as it is when it holds each of these.
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
        // Each state is there for two looks, which is one too few.
        for state in [&one, &one, &other, &other].into_iter().cycle().take(200) {
            assert!(!watch.is_due(state.clone()));
            told += u32::from(watch.is_restless());
        }
        assert_eq!(told, 1);
    }

    #[test]
    fn restless_files_are_read_once_they_are_quiet_whatever_they_hold() {
        let [known, one, other] = states("quiet", ["known", "one", "other"]);
        let mut watch = FileWatcher::new(known.clone());
        for state in [&one, &other].into_iter().cycle().take(60) {
            assert!(!watch.is_due(state.clone()));
            watch.is_restless();
        }
        let mut look = || watch.is_due(known.clone());
        assert_eq!([look(), look(), look()], [false, false, true]);
        assert!(watch.was_read(known.clone(), known.clone()));
        assert!(!(0..100).any(|_| watch.is_due(known.clone()) || watch.is_restless()));
    }
}
