//! Asks other servers whose a credential is, and remembers what they said.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use tokio::sync::Semaphore;

use super::UpstreamError;
use super::client::UpstreamClient;
use super::outcome::{ExchangeCounter, ExchangeOutcome};
use super::response_cache::{CacheLimits, ResponseCache};
use crate::authn::{AuthnError, Introspection, IntrospectionAnswer, IntrospectionQuery, TokenCaller};
use crate::crypto::mac::HmacSha256;
use crate::model::json;
use crate::telemetry::trace::TraceContext;
use crate::{clock, random};

/// The longest answer, in bytes.
const LONGEST: usize = 64 << 10;

/// How many answers are remembered, and how many bytes they may take: a caller can have as many as it likes, by headers that are
/// passed on beside its session.
const MOST: usize = 10_000;
const HEAVIEST: usize = 64 << 20;

/// How many requests wait at once for what one of those who are asked says. Strangers can send any number of them, also with one and
/// the same credential; where answers are slow, each would keep one of the places for requests in progress.
const AT_ONCE: usize = 256;

/// Those who are asked, and what they said.
pub(super) struct SessionServers {
    asked: Vec<Arc<SessionServer>>,
    answers: Arc<ResponseCache<IntrospectionAnswer>>,
}

/// One who is asked.
struct SessionServer {
    by: Arc<Introspection>,
    client: UpstreamClient,
    room: Semaphore,
    /// Turns questions, which hold credentials, into keys that tell nothing of them and that nobody can foresee. Its own, so that
    /// nothing is remembered longer than the configuration under which it was understood.
    key: HmacSha256,
    count: ExchangeCounter,
}

impl SessionServers {
    /// Asks on behalf of these authenticators. What is remembered of those that were there `before` stays.
    pub(super) fn new<'a>(
        introspections: impl Iterator<Item = &'a Arc<Introspection>>,
        before: Option<&SessionServers>,
    ) -> Result<SessionServers, UpstreamError> {
        let asked = introspections.map(|by| match before.and_then(|before| before.asked(by)) {
            Some(known) => Ok(Arc::clone(known)),
            None => SessionServer::new(by).map(Arc::new),
        });
        Ok(SessionServers {
            asked: asked.collect::<Result<_, _>>()?,
            answers: before.map_or_else(memory, |before| Arc::clone(&before.answers)),
        })
    }

    /// The caller, as far as whoever is asked knows.
    pub(super) async fn ask(
        &self,
        question: &IntrospectionQuery,
        trace: Option<&Arc<TraceContext>>,
    ) -> Result<TokenCaller, AuthnError> {
        let Some(asked) = self.asked(&question.asker) else {
            let detail = "nobody asks for this authenticator any more".to_owned();
            return question.asker.unanswered(detail).caller;
        };
        let key = asked.key.mac(&question.identity());
        if let Some(answer) = self.answers.known(&key) {
            return answer.caller;
        }
        let Ok(_place) = asked.room.try_acquire() else {
            asked.count.add(ExchangeOutcome::Failed);
            let detail = format!("{AT_ONCE} requests wait for an answer already");
            return question.asker.unanswered(detail).caller;
        };
        let ask = async || {
            let answer = asked.fetch(question, trace).await;
            let lifetime = answer.lifetime;
            (answer, lifetime)
        };
        self.answers.answer(key, ask).await.caller
    }

    /// What came of the questions so far, by the authenticator's name.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&Arc<str>, [(ExchangeOutcome, u64); 3])> {
        let counts = |asked: &'_ Arc<SessionServer>| {
            asked.count.all([ExchangeOutcome::Ok, ExchangeOutcome::Refused, ExchangeOutcome::Failed])
        };
        self.asked.iter().map(move |asked| (&asked.by.common.name, counts(asked)))
    }

    fn asked(&self, by: &Arc<Introspection>) -> Option<&Arc<SessionServer>> {
        self.asked.iter().find(|asked| Arc::ptr_eq(&asked.by, by))
    }
}

impl SessionServer {
    fn new(by: &Arc<Introspection>) -> Result<SessionServer, UpstreamError> {
        let (client, key) = (UpstreamClient::new(&by.endpoint)?, HmacSha256::new(&random::bytes::<32>()?));
        Ok(SessionServer {
            by: Arc::clone(by),
            client,
            room: Semaphore::new(AT_ONCE),
            key,
            count: ExchangeCounter::default(),
        })
    }

    async fn fetch(&self, question: &IntrospectionQuery, trace: Option<&Arc<TraceContext>>) -> IntrospectionAnswer {
        let asker = &question.asker;
        let answer = match self.send(question, trace).await {
            Ok(answer) => answer,
            Err(reason) => asker.unanswered(reason),
        };
        self.count.add(match &answer.caller {
            Ok(_) => ExchangeOutcome::Ok,
            Err(refusal) if refusal.is_unavailable() => {
                tracing::warn!("{}: {}: {}", asker.common.name, asker.endpoint, refusal.log());
                ExchangeOutcome::Failed
            }
            Err(_) => ExchangeOutcome::Refused,
        });
        answer
    }

    async fn send(
        &self,
        question: &IntrospectionQuery,
        trace: Option<&Arc<TraceContext>>,
    ) -> Result<IntrospectionAnswer, String> {
        let request = question.request(clock::now()).map_err(|refusal| refusal.log())?;
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        if let Some(trace) = trace {
            trace.pass_on(request.headers_mut());
        }
        let answer = self.client.send(request, LONGEST).await.map_err(|trouble| trouble.to_string())?;
        Ok(self.by.read(answer.status(), answer.body(), clock::now()))
    }
}

fn memory() -> Arc<ResponseCache<IntrospectionAnswer>> {
    Arc::new(ResponseCache::new(CacheLimits { most: MOST, heaviest: HEAVIEST, weigh }))
}

/// How many bytes an answer takes, roughly.
fn weigh(answer: &IntrospectionAnswer) -> usize {
    answer.caller.as_ref().map_or(0, |caller| json::weight(caller.claims()))
}
