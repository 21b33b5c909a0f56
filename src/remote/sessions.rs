//! Asks other servers whose a credential is, and remembers what they said.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use tokio::sync::Semaphore;

use super::client::{Client, NoClient};
use super::memory::{Limits, Memory};
use crate::authn::{Answer, Introspection, Question, Refusal};
use crate::clock;
use crate::crypto::mac::HmacSha256;
use crate::model::{Caller, json};

/// The longest answer, in bytes.
const LONGEST: usize = 64 << 10;

/// How many answers are remembered, and how many bytes they may take: a caller can have as many as it likes, by headers that are
/// passed on beside its session.
const MOST: usize = 10_000;
const HEAVIEST: usize = 64 << 20;

/// How many questions one of those who are asked has to answer at once. Strangers can have any number of them asked; where answers are
/// slow, each would keep one of the places for requests in progress.
const AT_ONCE: usize = 256;

/// Those who are asked, and what they said.
pub(super) struct Sessions {
    asked: Vec<Asked>,
    /// Turns questions, which hold credentials, into keys that tell nothing of them and that nobody can foresee.
    key: HmacSha256,
    answers: Memory<Answer>,
}

/// One who is asked.
struct Asked {
    by: Arc<Introspection>,
    client: Client,
    room: Semaphore,
}

impl Sessions {
    /// Asks on behalf of these authenticators. The key is random and nobody else's.
    pub(super) fn new<'a>(
        introspections: impl Iterator<Item = &'a Arc<Introspection>>,
        key: &[u8; 32],
    ) -> Result<Sessions, NoClient> {
        let asked = introspections.map(|one| {
            Ok(Asked { by: Arc::clone(one), client: Client::new(&one.endpoint)?, room: Semaphore::new(AT_ONCE) })
        });
        Ok(Sessions {
            asked: asked.collect::<Result<_, _>>()?,
            key: HmacSha256::new(key),
            answers: Memory::new(Limits { most: MOST, heaviest: HEAVIEST, weigh }),
        })
    }

    /// The caller, as far as whoever is asked knows.
    pub(super) async fn ask(&self, question: &Question) -> Result<Arc<Caller>, Refusal> {
        let key = self.key.mac(&question.identity());
        let ask = async || {
            let answer = self.fetch(question).await;
            let lifetime = answer.lifetime;
            (answer, lifetime)
        };
        self.answers.answer(key, ask).await.caller
    }

    async fn fetch(&self, question: &Question) -> Answer {
        let asker = &question.asker;
        let answer = match self.send(question).await {
            Ok(answer) => answer,
            Err(reason) => asker.unanswered(reason),
        };
        if let Err(refusal) = &answer.caller
            && refusal.is_unavailable()
        {
            tracing::warn!("{}: {}: {}", asker.common.name, asker.endpoint, refusal.log());
        }
        answer
    }

    async fn send(&self, question: &Question) -> Result<Answer, String> {
        let asker = &question.asker;
        let known = self.asked.iter().find(|asked| Arc::ptr_eq(&asked.by, asker));
        let Asked { client, room, .. } = known.ok_or("nobody asks for this authenticator any more")?;
        let _place = room.try_acquire().map_err(|_| format!("{AT_ONCE} questions wait for an answer already"))?;
        let request = question.request(clock::now()).map_err(|refusal| refusal.log())?;
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let answer = client.send(request, LONGEST).await.map_err(|trouble| trouble.to_string())?;
        Ok(asker.read(answer.status(), answer.body(), clock::now()))
    }
}

/// How many bytes an answer takes, roughly.
fn weigh(answer: &Answer) -> usize {
    answer.caller.as_ref().map_or(0, |caller| json::weight(&caller.claims))
}
