//! What moderators change at run time: bans, mutes, roles, blocks and conversations, in memory as an index that deciding looks at, and
//! in a store that outlives the process and that all replicas share.

mod desired;
mod entry;
mod event;
mod index;
mod judge;
mod live;
mod stray;
#[cfg(test)]
mod tests;
pub mod transfer;
mod wish;

use std::time::Duration;

use crate::clock;
use crate::model::Millis;
pub use desired::Desired;
pub use entry::{Conversation, Key, Malformed, Record, Table};
pub use event::{Plan, details};
pub use index::{Index, OWNER};
pub use judge::{Failed, Judge, Ruling, Why};
pub use live::{NotChanged, Roster, Stale};
pub use stray::strays;
pub use wish::{Deed, Terms, Wish, reading};

/// How many entries that have ended are taken away in one change.
const SWEEP: usize = 100;

/// The time before another attempt, where what has ended could not be taken away.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two looks for entries that have ended.
const SELDOM: Duration = Duration::from_secs(60);

impl Roster {
    /// Carries out a wish, as far as the policy and the rules for moderators let it. Whoever it fails for is in the answer.
    ///
    /// # Errors
    /// If nothing was changed, or it isn't known whether it was.
    pub async fn carry_out(&self, judge: &Judge<'_>, wish: &Wish, plan: &Plan) -> Result<Ruling, NotChanged> {
        let author = judge.author(wish);
        self.change(|index, head| {
            let mut ruling = judge.rule(index, wish);
            let mut commit = event::commit(&ruling, &author, plan, head, judge.now);
            commit.jobs.extend(event::again(&ruling, wish, plan));
            ruling.change = (!commit.puts.is_empty()).then_some(head.version + 1);
            (commit, ruling)
        })
        .await
    }

    /// Takes away what has ended, and tells of it. That it has, for everyone and for ever, the clock says that all who share the store have in
    /// common. Returns what it says.
    ///
    /// # Errors
    /// If the store can't be read or written.
    pub async fn expire(&self, plan: &Plan) -> Result<Millis, NotChanged> {
        let now = self.store().ok_or(NotChanged::NoStore)?.now().await?;
        if self.look().ended(now, 1).is_empty() {
            return Ok(now);
        }
        self.change(|index, head| {
            let ended: Vec<Record> = index.ended(now, SWEEP).iter().filter_map(|key| index.find(key)).collect();
            (event::expiry(&ended, plan, head, now), now)
        })
        .await
    }

    /// Takes away what has ended, when it does, for ever. `plan` is asked for anew each time.
    pub async fn sweep(&self, plan: impl Fn() -> Plan + Send + Sync) {
        let mut version = self.version();
        loop {
            let mut wait = self.until_next_ending(clock::now());
            if wait.is_zero() {
                wait = match self.expire(&plan()).await {
                    // By that clock it may not have ended yet.
                    Ok(now) => self.until_next_ending(now),
                    Err(error) => {
                        tracing::debug!("what has ended could not be taken away yet: {error}");
                        PAUSE
                    }
                };
            }
            tokio::select! {
                _ = version.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How long to wait before something may have ended.
    fn until_next_ending(&self, now: Millis) -> Duration {
        let next = self.look().next_ending();
        next.map_or(SELDOM, |next| Duration::from_millis(next.0.saturating_sub(now.0)).min(SELDOM))
    }
}
