//! Makes true at a vendor what is true of a user in a conversation, or everywhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attempt::{Did, Halt, Running};
use super::look::Subject;
use crate::clock;
use crate::crypto::percent_encoded;
use crate::model::Millis;
use crate::store::JobState;
use crate::vendor::leancloud;
use crate::vendor::moderation::{Desired, Moderator, Plan};

/// How many jobs are read from the store at once.
const PAGE: usize = 200;

/// How a place is called that is no conversation.
const EVERYWHERE: &str = "*";

/// What a job of this kind says.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) app: String,
    pub(super) user: String,
    /// `None`: everywhere.
    conversation: Option<String>,
}

/// What is noted of a user everywhere: where something was done because of that.
#[derive(Default, Serialize, Deserialize)]
struct Touched {
    conversations: BTreeSet<String>,
}

/// What is kept of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memo {
    /// When something was sent that may not have been answered, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    /// What the vendor's part noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What was made true, place by place, and what is left.
#[derive(Default)]
struct Delivered {
    made: BTreeMap<Option<String>, Desired>,
    did: Did,
}

/// Notes that this attempt has made, by key. They hold though another has forgotten them meanwhile: what was sent because of them may
/// have come later than what that one did.
type Own = BTreeMap<String, String>;

impl Touched {
    fn memo(&self) -> Memo {
        let note = (!self.conversations.is_empty()).then(|| json!(self).to_string());
        Memo { sent: None, note }
    }
}

impl Order {
    /// Reads a job's body.
    pub(super) fn read(body: &str) -> Result<Order, Halt> {
        serde_json::from_str(body).map_err(|_| Halt::Never("what is to be done can't be understood".to_owned()))
    }
}

impl Running<'_> {
    /// Does what is true now, until it still is true after it was done.
    pub(super) async fn enforce(&self, order: &Order) -> Result<Did, Halt> {
        let unknown = || Halt::Unknown(format!("[apps.{}.enforcement] is not configured", order.app));
        let target = self.targets.apps.get(order.app.as_str()).ok_or_else(unknown)?;
        let subject = Subject { target, app: &order.app, user: &order.user };
        let mut own = Own::new();
        self.catch_up().await?;
        loop {
            let delivered = match &order.conversation {
                Some(conversation) => self.in_one(&subject, conversation, &mut own).await?,
                None => self.everywhere(&subject, &mut own).await?,
            };
            self.catch_up().await?;
            if self.still_holds(&subject, &delivered)? {
                return Ok(delivered.did);
            }
        }
    }

    fn still_holds(&self, subject: &Subject<'_>, delivered: &Delivered) -> Result<bool, Halt> {
        for (place, made) in &delivered.made {
            if self.wanted(subject, place.as_deref())? != *made {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ably's tokens are good in many places at once, so that what counts for them is the worst.
    fn wanted(&self, subject: &Subject<'_>, place: Option<&str>) -> Result<Desired, Halt> {
        match (&subject.target.what.moderator, place) {
            (Moderator::Ably(_), None) => self.worst(subject.app, subject.user),
            _ => self.desired(subject.app, subject.user, place),
        }
    }

    async fn in_one(&self, subject: &Subject<'_>, conversation: &str, own: &mut Own) -> Result<Delivered, Halt> {
        let mut delivered = Delivered::default();
        self.reconcile(subject, conversation, own, &mut delivered).await?;
        Ok(delivered)
    }

    /// In all conversations that the user is in or was dealt with in, as each of them wants; and what there is to do for all at once.
    async fn everywhere(&self, subject: &Subject<'_>, own: &mut Own) -> Result<Delivered, Halt> {
        let mut delivered = Delivered::default();
        let want = self.wanted(subject, None)?;
        delivered.did.again = self.ends(subject.app, subject.user, None)?;
        let conversations = match &subject.target.what.moderator {
            Moderator::Ably(moderator) => {
                let plan = moderator.plan(subject.user, &want)?;
                self.carry_out(subject, EVERYWHERE, Memo::default(), plan, own, &mut delivered).await?;
                BTreeSet::new()
            }
            Moderator::LeanCloud(_) => {
                self.kick(subject, &want, own, &mut delivered).await?;
                let known = self.conversations_of_jobs(subject).await?;
                self.with_notes(subject, known, own).await?
            }
            Moderator::TalkJs(_) => self.conversations_touched(subject, own).await?,
        };
        delivered.made.insert(None, want);
        for conversation in conversations {
            self.reconcile(subject, &conversation, own, &mut delivered).await?;
        }
        if let Moderator::TalkJs(_) = &subject.target.what.moderator {
            self.untouch(subject, own).await?;
        }
        Ok(delivered)
    }

    async fn kick(
        &self,
        subject: &Subject<'_>,
        want: &Desired,
        own: &mut Own,
        delivered: &mut Delivered,
    ) -> Result<(), Halt> {
        let stored = self.stored(&key(subject, EVERYWHERE)).await?;
        let (user, revision, noted) = (subject.user, self.job.revision, stored.note.as_deref());
        let place = leancloud::Place { user, conversation: EVERYWHERE, revision, want, noted };
        let plan = place.plan_everywhere()?;
        self.carry_out(subject, EVERYWHERE, stored, plan, own, delivered).await
    }

    /// The conversations to look at. Those in which something is to be done are noted first: whoever is removed from one is not named as
    /// being in it again.
    async fn conversations_touched(&self, subject: &Subject<'_>, own: &mut Own) -> Result<BTreeSet<String>, Halt> {
        let key = key(subject, EVERYWHERE);
        let noted = self.noted(&key, own).await?;
        let mut touched = touched(noted.as_deref())?;
        let mut all = self.conversations_of_jobs(subject).await?;
        all.extend(touched.conversations.iter().cloned());
        let known = touched.conversations.len();
        for conversation in self.conversations(subject).await? {
            if self.desired(subject.app, subject.user, Some(&conversation))? != Desired::default() {
                touched.conversations.insert(conversation.clone());
            }
            all.insert(conversation);
        }
        if touched.conversations.len() > known && !self.keep(&key, &touched.memo(), own).await? {
            return Err(Halt::Lost);
        }
        Ok(all)
    }

    /// Forgets the conversations in which all is as it was before.
    async fn untouch(&self, subject: &Subject<'_>, own: &mut Own) -> Result<(), Halt> {
        let key = key(subject, EVERYWHERE);
        let Some(noted) = self.noted(&key, own).await? else { return Ok(()) };
        let before = touched(Some(&noted))?;
        let conversations = self.with_notes(subject, before.conversations, own).await?;
        let memo = Touched { conversations }.memo();
        if memo.note.as_ref() != Some(&noted) {
            self.keep(&key, &memo, own).await?;
        }
        Ok(())
    }

    /// Of these conversations those in which something is done about the user.
    async fn with_notes(
        &self,
        subject: &Subject<'_>,
        conversations: BTreeSet<String>,
        own: &Own,
    ) -> Result<BTreeSet<String>, Halt> {
        let mut kept = BTreeSet::new();
        for conversation in conversations {
            if self.noted(&key(subject, &conversation), own).await?.is_some() {
                kept.insert(conversation);
            }
        }
        Ok(kept)
    }

    /// The conversations in which something was ever done about the user.
    async fn conversations_of_jobs(&self, subject: &Subject<'_>) -> Result<BTreeSet<String>, Halt> {
        let prefix = key(subject, "");
        let mut found = BTreeSet::new();
        for state in [JobState::Pending, JobState::Done, JobState::SetAside] {
            let mut after = prefix.clone();
            loop {
                let jobs = self.store()?.jobs(state, &after, PAGE).await?;
                let is_last = jobs.len() < PAGE || jobs.last().is_some_and(|job| !job.key.starts_with(&prefix));
                after = jobs.last().map(|job| job.key.clone()).unwrap_or_default();
                let own = jobs.iter().filter(|job| job.key.starts_with(&prefix));
                found.extend(own.filter_map(|job| Order::read(&job.body).ok()?.conversation));
                if is_last {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Makes one conversation as it should be. What was noted is read before and after the vendor is asked: where another process has
    /// changed both meanwhile, what the vendor said is not what was there before anybody did anything.
    async fn reconcile(
        &self,
        subject: &Subject<'_>,
        conversation: &str,
        own: &mut Own,
        delivered: &mut Delivered,
    ) -> Result<(), Halt> {
        let key = key(subject, conversation);
        let mut stored = self.stored(&key).await?;
        loop {
            let want = self.wanted(subject, Some(conversation))?;
            let noted = stored.note.as_ref().or(own.get(&key)).cloned();
            let plan = self.plan(subject, conversation, &want, noted.as_deref()).await?;
            let now = self.stored(&key).await?;
            if now == stored {
                delivered.made.insert(Some(conversation.to_owned()), want);
                let ends = self.ends(subject.app, subject.user, Some(conversation))?;
                delivered.did.again = earlier(delivered.did.again, ends);
                return self.carry_out(subject, conversation, stored, plan, own, delivered).await;
            }
            stored = now;
        }
    }

    /// Without the claim nobody is to lose anything more, as it couldn't be noted what. What was taken away may be given back.
    async fn carry_out(
        &self,
        subject: &Subject<'_>,
        conversation: &str,
        memo: Memo,
        plan: Plan,
        own: &mut Own,
        delivered: &mut Delivered,
    ) -> Result<(), Halt> {
        let key = key(subject, conversation);
        let Plan { before, calls, after, again, lacking } = plan;
        let is_noted = before.is_some() || after.is_some() || memo != Memo::default();
        let is_doubtful = self.job.taken_over || self.is_on_its_way(&memo);
        let sent = if calls.is_empty() { memo.sent } else { Some(clock::now().0) };
        let first = Memo { sent, note: before };
        own.extend(first.note.clone().map(|note| (key.clone(), note)));
        if is_noted && first != memo && !self.keep(&key, &first, own).await? && after.is_some() {
            return Err(Halt::Lost);
        }
        for call in &calls {
            self.send(subject.target, call).await?;
        }
        // What was sent before may yet come after this, and then all of it must be done once more.
        let last = Memo { sent: None, note: after };
        if is_noted && last != first && !is_doubtful {
            self.keep(&key, &last, own).await?;
        }
        delivered.did.is_doubtful |= is_doubtful;
        delivered.did.again = earlier(delivered.did.again, again);
        delivered.did.lacking = delivered.did.lacking.or(lacking);
        Ok(())
    }

    /// Whether something was sent that was never answered, and not so long ago that it can't arrive any more.
    fn is_on_its_way(&self, memo: &Memo) -> bool {
        let lease = u64::try_from(self.shared.terms.lease.as_millis()).unwrap_or(u64::MAX);
        memo.sent.is_some_and(|sent| clock::now().0 < sent.saturating_add(lease))
    }

    async fn stored(&self, key: &str) -> Result<Memo, Halt> {
        let memo = self.store()?.note(key).await?.as_deref().map(serde_json::from_str).transpose();
        Ok(memo.map_err(|_| Halt::Never("what was noted of it can't be read".to_owned()))?.unwrap_or_default())
    }

    async fn noted(&self, key: &str, own: &Own) -> Result<Option<String>, Halt> {
        Ok(self.stored(key).await?.note.or_else(|| own.get(key).cloned()))
    }

    /// Notes something, if the job is still this process's.
    async fn keep(&self, key: &str, memo: &Memo, own: &mut Own) -> Result<bool, Halt> {
        let text = (*memo != Memo::default()).then(|| json!(memo).to_string());
        let kept = self.store()?.set_note(&self.shared.name, self.job, key, text).await?;
        match memo.note.clone().filter(|_| kept) {
            Some(note) => _ = own.insert(key.to_owned(), note),
            None if kept => _ = own.remove(key),
            None => {}
        }
        Ok(kept)
    }
}

/// The key of what is noted of a user in a place, and the start of the keys of all jobs about the user.
fn key(subject: &Subject<'_>, place: &str) -> String {
    let place = if place == EVERYWHERE { place.to_owned() } else { percent_encoded(place.as_bytes()) };
    let [app, user] = [subject.app, subject.user].map(|text| percent_encoded(text.as_bytes()));
    format!("enforce:{app}:{user}:{place}")
}

fn touched(noted: Option<&str>) -> Result<Touched, Halt> {
    let touched = noted.map(serde_json::from_str).transpose();
    let touched = touched.map_err(|_| Halt::Never("what was noted of it can't be read".to_owned()))?;
    Ok(touched.unwrap_or_default())
}

fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}
