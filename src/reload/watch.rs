//! When files that change are to be read.

use crate::config::Sources;

/// How many times in a row they must look the same before they are read.
const QUIET: u32 = 2;

/// How many times in a row they may look different before that is told.
const RESTLESS: u32 = 50;

/// What is known of the files.
pub(super) struct Watch {
    /// As they were read last, if they stood still meanwhile.
    read: Option<Sources>,
    /// As they were seen last.
    seen: Sources,
    /// How many times in a row they have looked like this.
    quiet: u32,
    /// How many times in a row they have looked different.
    restless: u32,
    /// Whether they are to be read whatever they look like.
    demanded: bool,
}

impl Watch {
    /// Of files that have just been read.
    pub(super) fn new(read: Sources) -> Watch {
        Watch { seen: read.clone(), read: Some(read), quiet: 0, restless: 0, demanded: false }
    }

    /// As they were seen last.
    pub(super) fn seen(&self) -> &Sources {
        &self.seen
    }

    /// Has them read at the next look.
    pub(super) fn demand(&mut self) {
        self.demanded = true;
    }

    /// Whether they are to be read, now that they look like this.
    pub(super) fn is_due(&mut self, now: Sources) -> bool {
        (self.quiet, self.restless) = if now.hold_the_same_as(&self.seen) {
            (self.quiet.saturating_add(1), 0)
        } else {
            (0, self.restless.saturating_add(1))
        };
        self.seen = now;
        let is_known = self.read.as_ref().is_some_and(|read| read.hold_the_same_as(&self.seen));
        std::mem::take(&mut self.demanded) || !is_known && self.quiet >= QUIET
    }

    /// Whether they have just been found to change so often that they are never read.
    pub(super) fn is_restless(&self) -> bool {
        self.restless == RESTLESS
    }

    /// Notes what was read, and how it looked afterwards. Whether that is the same: what changed meanwhile may be half of one state
    /// and half of another, and is to be read again.
    pub(super) fn was_read(&mut self, sources: Sources, after: Sources) -> bool {
        let is_whole = sources.hold_the_same_as(&after);
        self.read = is_whole.then_some(sources);
        self.seen = after;
        (self.quiet, self.restless) = (0, 0);
        is_whole
    }

    /// Leaves them until they change again.
    pub(super) fn give_up(&mut self) {
        self.read = Some(self.seen.clone());
    }
}
