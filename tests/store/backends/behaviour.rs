//! What every store promises, whatever its kind.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use chat_signer::clock;
use chat_signer::model::Millis;
use chat_signer::moderation::store::{
    AttemptResult, ChangesSince, CommitError, ENDED_JOBS_LIMIT, FailureCause, Job, JobFailure, JobState, LOG_LIMIT,
    NewChange, READ_LIMIT_BYTES, READ_LIMIT_CHANGES, Store, StoreHead, queue_name,
};

use crate::backends::bed::{Bed, LONG, Scratch, ask, claim, claim_of, commit, eventually, put, since};
use crate::redis::Redis;

/// Every behaviour below, of one kind of store.
macro_rules! behaviours {
    ($kind:ident: $bed:expr) => {
        mod $kind {
            use super::*;
            behaviours!(@each $bed;
                a_store_is_begun_once,
                an_operator_draws_a_new_epoch,
                changes_are_numbered_and_in_order,
                entries_are_what_the_changes_left,
                a_change_on_another_head_is_not_made,
                what_is_no_longer_kept_is_gone,
                changes_are_read_in_parts,
                writers_at_the_same_time_lose_nothing,
                a_change_is_hinted_at,
                a_job_is_done_by_one,
                each_queue_gives_what_has_been_due_for_longest,
                what_is_given_back_is_taken_again,
                a_job_waits_until_it_is_due,
                a_job_that_was_not_given_back_is_taken_over,
                a_job_asked_for_again_begins_anew,
                a_job_tells_when_it_was_asked_for,
                what_came_of_a_job_is_noted_by_who_has_it,
                a_job_is_replaced_only_as_it_was_seen,
                all_jobs_are_counted,
                jobs_are_listed_by_key,
                only_the_last_done_jobs_are_kept,
                only_the_last_messages_dead_letters_are_kept,
                notes_are_made_by_who_has_the_job,
                any_text_will_do
            );
        }
    };
    (@each $bed:expr; $($name:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(bed) = $bed {
                    super::$name(bed.store().await).await;
                }
            }
        )*
    };
}

behaviours!(memory: Some(Bed::Memory));
behaviours!(redb: Some(Bed::Redb(Scratch::quick())));
behaviours!(redis: Redis::start().map(Bed::Redis));

async fn a_store_is_begun_once(store: Store) {
    let head = store.head().await.unwrap();
    assert_eq!((head.epoch.len(), head.version, head.change.as_str(), head.accepted_at), (32, 0, "", None));
    assert_eq!(store.changes_since(0).await.unwrap(), ChangesSince::Changes(Vec::new()));
    assert!(store.read_all().await.unwrap().entries.is_empty());
    store.initialize().await.unwrap();
    assert_eq!(store.head().await.unwrap(), head);
}

async fn an_operator_draws_a_new_epoch(store: Store) {
    let before = commit(&store, put("ban/tom", "1")).await;
    let then = clock::now();
    store.accept().await.unwrap();
    let after = store.head().await.unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert!(after.accepted_at.is_some_and(|at| (then..=clock::now()).contains(&at)), "{after:?}");
    assert_eq!(after, StoreHead { epoch: after.epoch.clone(), accepted_at: after.accepted_at, ..before.clone() });
    let late = store.commit(&before, put("ban/tom", "2"), clock::now()).await;
    assert!(matches!(late, Err(CommitError::Behind)), "{late:?}");
    assert_eq!(entries(&store).await["ban/tom"], "1");
    assert_eq!(commit(&store, put("ban/tom", "3")).await.version, before.version + 1);
}

async fn changes_are_numbered_and_in_order(store: Store) {
    let mut made = Vec::new();
    for number in 1..=20 {
        let head = store.head().await.unwrap();
        let events = vec![format!("{{\"n\":{number}}}"), "{}".to_owned()];
        let commit = NewChange { events, ..put("ban/tom", &number.to_string()) };
        let change = store.commit(&head, commit.clone(), Millis(number)).await.unwrap();
        assert_eq!((change.version, change.at), (number, Millis(number)));
        assert_eq!((&change.puts, &change.events), (&commit.puts, &commit.events));
        let now = store.head().await.unwrap();
        assert_eq!(now, StoreHead { version: number, change: change.id.clone(), ..head });
        made.push(change);
    }
    assert_eq!(since(&store, 0).await, made);
    assert_eq!(since(&store, 17).await, made[17..]);
    for none in [20, 21, u64::MAX] {
        assert_eq!(since(&store, none).await, Vec::new());
    }
}

async fn entries_are_what_the_changes_left(store: Store) {
    commit(&store, put("ban/tom", "1")).await;
    let both = vec![("ban/tom".to_owned(), None), ("ban/jerry".to_owned(), Some("2".to_owned()))];
    commit(&store, NewChange { puts: both, ..NewChange::default() }).await;
    commit(&store, put("ban/spike", "3")).await;
    let head = commit(&store, put("ban/spike", "4")).await;
    let gone = vec![("ban/nobody".to_owned(), None)];
    let last = commit(&store, NewChange { puts: gone, ..NewChange::default() }).await;
    assert_eq!(last.version, head.version + 1);
    let contents = store.read_all().await.unwrap();
    assert_eq!(contents.head, last);
    let expected = [("ban/jerry", "2"), ("ban/spike", "4")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(contents.entries.into_iter().collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}

async fn a_change_on_another_head_is_not_made(store: Store) {
    let old = store.head().await.unwrap();
    let head = commit(&store, put("ban/tom", "1")).await;
    let others = [
        old,
        StoreHead { version: 2, ..head.clone() },
        StoreHead { change: "another".to_owned(), ..head.clone() },
        StoreHead { epoch: "another".to_owned(), ..head.clone() },
        StoreHead { accepted_at: Some(Millis(1)), ..head.clone() },
    ];
    for other in others {
        let late =
            store.commit(&other, NewChange { jobs: ask(&["a"], "").jobs, ..put("ban/tom", "2") }, clock::now()).await;
        assert!(matches!(late, Err(CommitError::Behind)), "{other:?}: {late:?}");
    }
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(entries(&store).await["ban/tom"], "1");
    assert_eq!(since(&store, 0).await.len(), 1);
    assert_eq!(claim(&store, "me", LONG).await, Vec::new());
}

async fn what_is_no_longer_kept_is_gone(store: Store) {
    let mut head = store.head().await.unwrap();
    for number in 0..LOG_LIMIT + 3 {
        let change = store.commit(&head, put("ban/tom", &number.to_string()), Millis(number)).await.unwrap();
        head = StoreHead { version: change.version, change: change.id, ..head };
    }
    for gone in [0, 2] {
        assert_eq!(store.changes_since(gone).await.unwrap(), ChangesSince::NoLongerKept);
    }
    let kept = since(&store, 3).await;
    assert_eq!(kept.len() as u64, LOG_LIMIT);
    assert!(kept.iter().zip(4..).all(|(change, number)| change.version == number));
}

async fn changes_are_read_in_parts(store: Store) {
    let small = [1; READ_LIMIT_CHANGES + 10];
    let large = [READ_LIMIT_BYTES / 2; 5];
    let sizes = [&small[..], &large, &[2 * READ_LIMIT_BYTES], &large].concat();
    let mut made = Vec::new();
    for size in &sizes {
        made.push(commit(&store, put("ban/tom", &"x".repeat(*size))).await.change);
    }
    let (mut read, mut parts) = (Vec::new(), 0);
    loop {
        let ChangesSince::Changes(changes) = store.changes_since(read.len() as u64).await.unwrap() else {
            panic!("gone")
        };
        if changes.is_empty() {
            break;
        }
        let but_the_last = &sizes[read.len()..][..changes.len() - 1];
        assert!(changes.len() <= READ_LIMIT_CHANGES && but_the_last.iter().sum::<usize>() < READ_LIMIT_BYTES);
        read.extend(changes.into_iter().map(|change| change.id));
        parts += 1;
    }
    assert_eq!(read, made);
    assert!((7..20).contains(&parts), "{parts}");
}

async fn writers_at_the_same_time_lose_nothing(store: Store) {
    let store = Arc::new(store);
    let writers: Vec<_> = (0..50).map(|writer| tokio::spawn(write(Arc::clone(&store), writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.head().await.unwrap().version, 150);
    let expected = (0..50).flat_map(|writer| (0..3).map(move |number| format!("ban/{writer}/{number}")));
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    assert_eq!(entries(&store).await.into_keys().collect::<Vec<_>>(), expected);
    assert!(since(&store, 0).await.iter().zip(1..).all(|(change, number)| change.version == number));
}

/// Makes three changes, however often others are faster.
async fn write(store: Arc<Store>, writer: u32) {
    for number in 0..3 {
        loop {
            let head = store.head().await.unwrap();
            match store.commit(&head, put(&format!("ban/{writer}/{number}"), ""), clock::now()).await {
                Ok(_) => break,
                Err(CommitError::Behind) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn a_change_is_hinted_at(store: Store) {
    let mut hints = store.subscribe_hints();
    hints.borrow_and_update();
    commit(&store, put("ban/tom", "1")).await;
    tokio::time::timeout(LONG, hints.changed()).await.unwrap().unwrap();
}

async fn a_job_is_done_by_one(store: Store) {
    let head = commit(&store, ask(&["enforce:x:a", "enforce:x:b"], "{}")).await;
    assert_eq!(claim_of(&store, "me", &[("enforce:x", 0)]).await, Vec::new());
    let first = claim_of(&store, "me", &[("enforce:x", 1)]).await;
    let [job] = &first[..] else { panic!("{first:?}") };
    let fresh = (job.key.as_str(), job.body.as_str(), job.revision, job.attempts, job.state);
    assert_eq!(fresh, ("enforce:x:a", "{}", head.version, 0, JobState::Pending));
    assert!(!job.taken_over && job.error.is_none());
    assert_eq!(keys(&claim(&store, "you", LONG).await), ["enforce:x:b"]);
    assert_eq!(claim(&store, "me", LONG).await, Vec::new());

    assert!(store.complete("me", job, &AttemptResult::Done, clock::now()).await.unwrap());
    let done = store.list_jobs(JobState::Done, "", "", 10).await.unwrap();
    assert_eq!(done, [Job { state: JobState::Done, attempts: 1, settled: done[0].settled, ..job.clone() }]);
    assert_eq!(keys(&store.list_jobs(JobState::Pending, "", "", 10).await.unwrap()), ["enforce:x:b"]);
    assert!(!store.complete("me", job, &AttemptResult::Done, clock::now()).await.unwrap(), "it is no longer mine");
}

async fn each_queue_gives_what_has_been_due_for_longest(store: Store) {
    let all = ["enforce:x:t:c", "enforce:x:t:a", "enforce:x:t:*", "enforce:xy:t:a", "webhook:x:1", "webhook:x:2"];
    for key in all {
        commit(&store, ask(&[key], "")).await;
        let now = clock::now();
        eventually("a further millisecond", || async { (now < clock::now()).then_some(()) }).await;
    }
    let of = async |queues: &[(&str, usize)]| keys(&claim_of(&store, "me", queues).await).join(" ");
    assert_eq!(of(&[]).await, "");
    assert_eq!(of(&[("enforce:", 9), ("enforce", 9), ("x", 9), ("", 9), ("enforce:x:t", 9)]).await, "");
    assert_eq!(of(&[("enforce:x", 1), ("webhook:x", 1)]).await, "enforce:x:t:c webhook:x:1");
    assert_eq!(of(&[("enforce:x", 9)]).await, "enforce:x:t:a");
    assert_eq!(of(&[("enforce:x:*", 9)]).await, "enforce:x:t:*");
    assert_eq!(of(&[("webhook:x", 0), ("enforce:xy", 9)]).await, "enforce:xy:t:a");
    // Asked for again, it waits for who has it, and is then behind the others.
    let held = claim_of(&store, "you", &[("webhook:x", 1)]).await.remove(0);
    commit(&store, ask(&["webhook:x:2", "webhook:x:0"], "")).await;
    assert_eq!(of(&[("webhook:x", 9)]).await, "webhook:x:0");
    assert!(!store.complete("you", &held, &AttemptResult::Done, clock::now()).await.unwrap());
    assert_eq!(of(&[("webhook:x", 9)]).await, "webhook:x:2");
}

async fn what_is_given_back_is_taken_again(store: Store) {
    commit(&store, ask(&["enforce:x:t:*"], "")).await;
    let due = |error: Option<&str>| AttemptResult::Retry { due: Millis(0), error: error.map(refused) };
    let mut counted = Vec::new();
    for attempt in [due(Some("refused")), due(Some("refused")), due(None), due(Some("refused"))] {
        let job = claim_of(&store, "me", &[("enforce:x:*", 1)]).await.remove(0);
        counted.push((job.attempts, job.failures));
        assert!(store.complete("me", &job, &attempt, clock::now()).await.unwrap());
    }
    assert_eq!(counted, [(0, 0), (1, 1), (2, 2), (3, 0)], "what goes well is no failure");
    assert_eq!(keys(&claim_of(&store, "you", &[("enforce:x:*", 1)]).await), ["enforce:x:t:*"]);
}

async fn a_job_waits_until_it_is_due(store: Store) {
    commit(&store, ask(&["enforce:a"], "")).await;
    let job = claim(&store, "me", LONG).await.remove(0);
    let due = Millis(clock::now().0 + 300);
    let again = AttemptResult::Retry { due, error: Some(refused("refused")) };
    assert!(store.complete("me", &job, &again, clock::now()).await.unwrap());
    let waiting = Job {
        due,
        attempts: 1,
        failures: 1,
        error: Some("refused".to_owned()),
        cause: Some(FailureCause::Refused),
        ..job
    };
    assert_eq!(store.list_jobs(JobState::Pending, "", "", 10).await.unwrap(), slice::from_ref(&waiting));
    let claimed = eventually("the job's time", || async {
        let before = clock::now();
        let claimed = claim(&store, "you", LONG).await;
        assert!(claimed.is_empty() || clock::now() >= due, "at {before}: {claimed:?}");
        claimed.into_iter().next()
    });
    assert_eq!(claimed.await, waiting);
}

async fn a_job_that_was_not_given_back_is_taken_over(store: Store) {
    commit(&store, ask(&["enforce:a"], "")).await;
    let mine = claim(&store, "me", Duration::from_millis(100)).await.remove(0);
    assert!(!mine.taken_over);
    let yours = eventually("a lease's end", || async { claim(&store, "you", LONG).await.pop() }).await;
    assert_eq!(yours, Job { taken_over: true, ..mine.clone() });
    assert_eq!(store.list_jobs(JobState::Pending, "", "", 10).await.unwrap(), slice::from_ref(&yours));

    assert!(!store.complete("me", &mine, &AttemptResult::Done, clock::now()).await.unwrap());
    let failed = AttemptResult::Retry { due: Millis(0), error: None };
    assert!(store.complete("you", &yours, &failed, clock::now()).await.unwrap());
    let again = claim(&store, "me", LONG).await.remove(0);
    assert_eq!((again.taken_over, again.attempts), (false, 1));
}

async fn a_job_asked_for_again_begins_anew(store: Store) {
    commit(&store, ask(&["enforce:a"], "old")).await;
    let old = claim(&store, "me", LONG).await.remove(0);
    let head = commit(&store, ask(&["enforce:a"], "new")).await;
    assert_eq!(claim(&store, "you", LONG).await, Vec::new(), "who has the old one has the new one");
    assert!(
        !store.complete("me", &old, &AttemptResult::Done, clock::now()).await.unwrap(),
        "the old one is of no account"
    );
    let new = claim(&store, "you", LONG).await.remove(0);
    assert_eq!((new.body.as_str(), new.revision, new.attempts, new.taken_over), ("new", head.version, 0, false));

    assert!(store.complete("you", &new, &AttemptResult::Done, clock::now()).await.unwrap());
    commit(&store, ask(&["enforce:a"], "third")).await;
    assert_eq!(store.list_jobs(JobState::Done, "", "", 10).await.unwrap(), Vec::new());
    assert_eq!(claim(&store, "me", LONG).await[0].body, "third");
}

async fn a_job_tells_when_it_was_asked_for(store: Store) {
    let mut last = None;
    for body in ["once", "again \"asked\":null}"] {
        let before = clock::now();
        commit(&store, ask(&["enforce:a"], body)).await;
        let asked = before..=clock::now();
        let job = claim(&store, "me", LONG).await.remove(0);
        assert!(job.asked.is_some_and(|at| asked.contains(&at)) && job.asked > last, "{job:?}, not {asked:?}");
        assert_eq!(job.body, body);
        let tried = AttemptResult::Retry { due: Millis(0), error: None };
        assert!(store.complete("me", &job, &tried, clock::now()).await.unwrap());
        let again = claim(&store, "you", LONG).await.remove(0);
        assert_eq!(again, Job { attempts: 1, due: Millis(0), ..job.clone() });
        assert!(store.complete("you", &again, &AttemptResult::Done, clock::now()).await.unwrap());
        last = job.asked;
        eventually("a further millisecond", || async { (last < Some(clock::now())).then_some(()) }).await;
    }
}

fn refused(message: &str) -> JobFailure {
    JobFailure::new(FailureCause::Refused, message)
}

/// Makes a dead letter of a new job with this key.
async fn dead_letter(store: &Store, key: &str) -> Job {
    commit(store, ask(&[key], "")).await;
    let job = claim_of(store, "me", &[(&queue_name(key), 9)]).await.remove(0);
    assert!(
        store.complete("me", &job, &AttemptResult::DeadLetter { error: refused("no") }, clock::now()).await.unwrap()
    );
    store.find_jobs(vec![key.to_owned()]).await.unwrap().remove(0).unwrap()
}

async fn a_job_is_replaced_only_as_it_was_seen(store: Store) {
    let (now, none) = (clock::now(), store.find_jobs(vec!["enforce:x:t:a".to_owned()]).await.unwrap());
    assert_eq!(none, [None]);
    let [first, second] = [dead_letter(&store, "enforce:x:t:a").await, dead_letter(&store, "webhook:x:1").await];
    let changes = vec![(first.clone(), first.retried(now)), (second.clone(), second.closed(now))];
    assert_eq!(store.replace_jobs(changes.clone(), now).await.unwrap(), [true, true]);
    assert_eq!(store.replace_jobs(changes, now).await.unwrap(), [false, false], "it is no longer a dead letter");
    let closed = store.list_jobs(JobState::Done, "", "", 9).await.unwrap();
    assert_eq!((keys(&closed), closed[0].error.as_deref()), (vec!["webhook:x:1"], Some("no")));

    let job = claim_of(&store, "you", &[("enforce:x", 9)]).await.remove(0);
    assert_eq!((job.attempts, job.failures, job.error.as_deref(), job.revision), (0, 0, None, first.revision));
    let held = store.replace_jobs(vec![(job.clone(), job.closed(now))], now).await.unwrap();
    assert_eq!(held, [false], "a worker does it");
    assert!(store.complete("you", &job, &AttemptResult::Done, now).await.unwrap());
    commit(&store, ask(&["enforce:x:t:a"], "")).await;
    assert_eq!(store.replace_jobs(vec![(first.clone(), first.closed(now))], now).await.unwrap(), [false]);
    assert_eq!(claim_of(&store, "you", &[("enforce:x", 9)]).await.len(), 1);
}

/// Also more than one read of the list has.
async fn all_jobs_are_counted(store: Store) {
    let names: Vec<String> = (0..10_500).map(|number| format!("webhook:x:{number:05}")).collect();
    for part in names.chunks(1_500) {
        commit(&store, ask(&part.iter().map(String::as_str).collect::<Vec<_>>(), "")).await;
    }
    dead_letter(&store, "enforce:x:t:a").await;
    let (taken, now) = (claim_of(&store, "me", &[("webhook:x", 3)]).await, clock::now());
    let again = |cause| AttemptResult::Retry { due: now.after(LONG), error: Some(JobFailure::new(cause, "no")) };
    for (job, cause) in taken.iter().zip([FailureCause::Unreachable, FailureCause::Trouble]) {
        assert!(store.complete("me", job, &again(cause), now).await.unwrap());
    }
    let depth = store.count_jobs("webhook:", vec!["webhook:x".to_owned()], clock::now()).await.unwrap();
    assert_eq!((depth.pending, depth.due, depth.dead_letter, depth.unconfigured), (10_500, 10_497, 0, 0));
    let failing: Vec<u64> = depth.failing.iter().map(|(_, count)| *count).collect();
    assert_eq!(failing, [1, 1, 0, 0, 0]);
    let elsewhere = store.count_jobs("webhook:", vec!["webhook:y".to_owned()], clock::now()).await.unwrap();
    assert_eq!((elsewhere.due, elsewhere.unconfigured, elsewhere.oldest), (0, 10_500, 0));
    assert_eq!(store.count_jobs("enforce:", Vec::new(), clock::now()).await.unwrap().dead_letter, 1);
}

async fn what_came_of_a_job_is_noted_by_who_has_it(store: Store) {
    commit(&store, ask(&["enforce:a"], "")).await;
    let job = claim(&store, "me", LONG).await.remove(0);
    let aside = AttemptResult::DeadLetter { error: refused("no such user") };
    assert!(!store.complete("you", &job, &aside, clock::now()).await.unwrap());
    assert_eq!(store.list_jobs(JobState::DeadLetter, "", "", 10).await.unwrap(), Vec::new());
    assert!(store.complete("me", &job, &aside, clock::now()).await.unwrap());
    let found = store.list_jobs(JobState::DeadLetter, "", "", 10).await.unwrap();
    let (error, cause, settled) = (Some("no such user".to_owned()), Some(FailureCause::Refused), found[0].settled);
    assert!(settled.is_some());
    assert_eq!(found, [Job { state: JobState::DeadLetter, attempts: 1, error, cause, settled, ..job.clone() }]);
    assert_eq!(claim(&store, "me", LONG).await, Vec::new());
    let unknown = Job { key: "enforce:unknown".to_owned(), ..job };
    assert!(!store.complete("me", &unknown, &AttemptResult::Done, clock::now()).await.unwrap());
}

async fn jobs_are_listed_by_key(store: Store) {
    commit(&store, ask(&["webhook:b", "enforce:ü", "enforce:a", "webhook:a"], "")).await;
    let all = ["enforce:a", "enforce:ü", "webhook:a", "webhook:b"];
    for (prefix, after, most, expected) in [
        ("", "", 10, &all[..]),
        ("", "", 2, &all[..2]),
        ("", "", 0, &[]),
        ("", "enforce:a", 10, &all[1..]),
        ("", "enforce:b", 1, &all[1..2]),
        ("", "webhook:b", 10, &[]),
        ("", "x", 10, &[]),
        ("enforce:", "", 10, &all[..2]),
        ("enforce:", "enforce:", 1, &all[..1]),
        ("enforce:", "enforce:a", 10, &all[1..2]),
        ("enforce:", "enforce:ü", 10, &[]),
        ("enforce:ü", "", 10, &all[1..2]),
        ("webhook:", "enforce:a", 10, &all[2..]),
        ("webhook:", "webhook:a", 10, &all[3..]),
        ("enforce:", "webhook:a", 10, &[]),
        ("v", "", 10, &[]),
    ] {
        let found = store.list_jobs(JobState::Pending, prefix, after, most).await.unwrap();
        assert_eq!(keys(&found), expected, "{most} of {prefix} after {after}");
    }
    assert_eq!(store.list_jobs(JobState::Done, "", "", 10).await.unwrap(), Vec::new());
}

async fn only_the_last_done_jobs_are_kept(store: Store) {
    let keys: Vec<_> = (0..ENDED_JOBS_LIMIT + 2).map(|number| format!("webhook:x:{number:04}")).collect();
    let asked: Vec<_> = keys.iter().map(String::as_str).collect();
    commit(&store, ask(&asked, "")).await;
    let jobs = claim_of(&store, "me", &[("webhook:x", keys.len())]).await;
    assert_eq!(jobs.len(), keys.len());
    for (job, time) in jobs.iter().rev().zip(1..) {
        assert!(store.complete("me", job, &AttemptResult::Done, Millis(time)).await.unwrap());
    }
    let done = store.list_jobs(JobState::Done, "", "", keys.len()).await.unwrap();
    assert_eq!(done.len(), ENDED_JOBS_LIMIT);
    assert_eq!(
        done.last().unwrap().key,
        format!("webhook:x:{:04}", ENDED_JOBS_LIMIT - 1),
        "the first to be done are gone"
    );
}

async fn only_the_last_messages_dead_letters_are_kept(store: Store) {
    let messages = (0..ENDED_JOBS_LIMIT + 2).map(|number| format!("webhook:x:{number:04}"));
    let all: Vec<_> = messages.chain((0..3).map(|number| format!("enforce:x:{number}"))).collect();
    commit(&store, ask(&all.iter().map(String::as_str).collect::<Vec<_>>(), "")).await;
    let jobs = claim_of(&store, "me", &[("enforce:x", 3), ("webhook:x", all.len())]).await;
    for (job, time) in jobs.iter().zip(1..) {
        let aside = AttemptResult::DeadLetter { error: refused("gone") };
        assert!(store.complete("me", job, &aside, Millis(time)).await.unwrap());
    }
    let aside = store.list_jobs(JobState::DeadLetter, "", "", all.len()).await.unwrap();
    assert_eq!(keys(&aside[..4]), ["enforce:x:0", "enforce:x:1", "enforce:x:2", "webhook:x:0002"]);
    assert_eq!(aside.len(), ENDED_JOBS_LIMIT + 3, "one for each user and conversation, and the last messages");

    // Whichever is asked for again is no longer among them.
    commit(&store, ask(&["webhook:x:0002"], "")).await;
    let again = claim(&store, "me", LONG).await.remove(0);
    assert!(store.complete("me", &again, &AttemptResult::Done, Millis(1)).await.unwrap());
    commit(&store, ask(&["webhook:x"], "")).await;
    let new = claim(&store, "me", LONG).await.remove(0);
    assert!(store.complete("me", &new, &AttemptResult::DeadLetter { error: refused("") }, Millis(1)).await.unwrap());
    assert_eq!(store.list_jobs(JobState::DeadLetter, "", "", all.len()).await.unwrap().len(), ENDED_JOBS_LIMIT + 3);
    assert_eq!(keys(&store.list_jobs(JobState::Done, "", "", 10).await.unwrap()), ["webhook:x:0002"]);
}

async fn notes_are_made_by_who_has_the_job(store: Store) {
    commit(&store, ask(&["enforce:a"], "")).await;
    let job = claim(&store, "me", LONG).await.remove(0);
    assert_eq!(store.checkpoint("before").await.unwrap(), None);
    assert!(store.set_checkpoint("me", &job, "before", Some("Read".to_owned())).await.unwrap());
    assert!(!store.set_checkpoint("you", &job, "before", Some("ReadWrite".to_owned())).await.unwrap());
    assert!(!store.set_checkpoint("you", &job, "before", None).await.unwrap());
    assert_eq!(store.checkpoint("before").await.unwrap().as_deref(), Some("Read"));
    assert!(store.set_checkpoint("me", &job, "before", None).await.unwrap());
    assert_eq!(store.checkpoint("before").await.unwrap(), None);
    store.complete("me", &job, &AttemptResult::Done, clock::now()).await.unwrap();
    assert!(!store.set_checkpoint("me", &job, "before", Some(String::new())).await.unwrap());
}

async fn any_text_will_do(store: Store) {
    let long = "x".repeat(1 << 20);
    let texts = ["", " ", "a\0b", "\n\r\n", "{\"a\":[]}", "{}", "ü€😀", "\u{10ffff}", "*", "%25", &long];
    for text in texts {
        let key = text.get(..64).unwrap_or(text);
        let events = vec![text.to_owned()];
        commit(&store, NewChange { events, jobs: ask(&[key], text).jobs, ..put(key, text) }).await;
        assert_eq!(entries(&store).await[key], text);
        let head = store.head().await.unwrap();
        assert_eq!(since(&store, head.version - 1).await[0].events, [text]);
        let job = claim_of(&store, text, &[(&queue_name(key), 1)]).await.remove(0);
        assert_eq!((job.key.as_str(), job.body.as_str()), (key, text));
        assert!(store.set_checkpoint(text, &job, key, Some(text.to_owned())).await.unwrap());
        assert_eq!(store.checkpoint(key).await.unwrap().as_deref(), Some(text));
        assert!(
            store
                .complete(text, &job, &AttemptResult::DeadLetter { error: refused(text) }, clock::now())
                .await
                .unwrap()
        );
    }
    assert_eq!(
        store.list_jobs(JobState::DeadLetter, "", "", 100).await.unwrap().len(),
        texts.len() - 1,
        "none comes after itself"
    );
}

async fn entries(store: &Store) -> BTreeMap<String, String> {
    store.read_all().await.unwrap().entries.into_iter().collect()
}

fn keys(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.key.as_str()).collect()
}
