//! A moderation is the same after its way through a file into another store, and nothing in a file is passed over.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chat_signer::config::{ImportFile, Report};
use chat_signer::model::{CallerKind, ConversationKind, Millis, Pattern, RoleHierarchy};
use chat_signer::moderation::store::Store;
use chat_signer::moderation::transfer::{self, Import, ImportError, ImportSummary, MAX_ENTRIES_PER_CHANGE};
use chat_signer::moderation::{ChangeSubscribers, ModerationEntry, RegisteredConversation, RoleAssignment};
use chat_signer::policy::{Block, EntryAuthor, EntryOrigin, Sanction};
use chat_signer::telemetry::AuditCaller;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const NOW: Millis = Millis(1_800_000_000_000);

/// Ids, some of them with what TOML and keys write in their own way.
fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{1,2}", r#"[a-z"\\'#=%/ é汤🙂]{1,12}"#, Just("ns:a".to_owned()), Just("_tmp:x".to_owned())]
        .prop_filter("an id", |id| chat_signer::model::check_identifier(id, 255).is_ok() && id != "*")
}

fn scope() -> impl Strategy<Value = Pattern> {
    let exact = id().prop_filter_map("a pattern", |id| Pattern::parse(&id).ok());
    prop_oneof![3 => exact, 1 => Just(Pattern::Everything), 1 => "[a-c]{1,2}".prop_map(|ns| Pattern::parse(&format!("{ns}:*")).unwrap())]
}

fn app() -> impl Strategy<Value = Option<Arc<str>>> {
    option::of(prop_oneof![Just("leancloud"), Just("one that is gone")].prop_map(Arc::from))
}

fn time() -> impl Strategy<Value = Millis> {
    prop_oneof![1..4_000_000_000_000_u64, 253_402_207_100_000_u64..=253_402_207_200_000].prop_map(Millis)
}

fn origin() -> impl Strategy<Value = EntryOrigin> {
    let kind = prop_oneof![Just(CallerKind::User), Just(CallerKind::Service)];
    (kind, id(), option::of("[a-z]{1,6}"), time()).prop_map(|(kind, subject, role, at)| {
        let author = Arc::new(EntryAuthor { kind, subject, role });
        EntryOrigin::Runtime { author, at }
    })
}

fn sanction() -> impl Strategy<Value = Sanction> {
    let reason = "[ -~é汤]{1,30}";
    (id(), scope(), app(), option::of(time()), option::of(reason), origin())
        .prop_map(|(user, scope, app, until, reason, origin)| Sanction { user, scope, app, until, reason, origin })
}

fn conversation() -> impl Strategy<Value = RegisteredConversation> {
    let kind =
        prop_oneof![Just(ConversationKind::Group), Just(ConversationKind::Chatroom), Just(ConversationKind::System)];
    (id(), app(), kind, option::of(id()), any::<bool>(), origin()).prop_map(
        |(id, app, kind, owner, forgotten, origin)| {
            let kind = if id.starts_with("_tmp:") { ConversationKind::Temporary } else { kind };
            RegisteredConversation { id, app, kind, owner, forgotten, origin }
        },
    )
}

fn record() -> impl Strategy<Value = ModerationEntry> {
    let held = prop_oneof![Just(None), "[a-z]{1,4}".prop_map(|word| Some(word.into()))];
    let role = (id(), scope(), app(), held, origin()).prop_map(|(user, scope, app, role, origin)| {
        ModerationEntry::Role(RoleAssignment { user, scope, app, role, origin })
    });
    let block = (id(), scope(), app(), origin()).prop_map(|(user, conversation, app, origin)| {
        ModerationEntry::Block(Block { user, conversation, app, origin })
    });
    prop_oneof![
        sanction().prop_map(ModerationEntry::Ban),
        sanction().prop_map(ModerationEntry::Mute),
        role,
        block,
        conversation().prop_map(ModerationEntry::Conversation)
    ]
}

/// Some entries, of which none says something else of the same.
fn records() -> impl Strategy<Value = Vec<ModerationEntry>> {
    vec(record(), 0..12).prop_map(|records| {
        let mut conversations: Vec<String> = Vec::new();
        let by_key: BTreeMap<_, _> = records.into_iter().map(|record| (record.key(), record)).collect();
        let mut records: Vec<_> = by_key.into_values().collect();
        records.retain(|record| {
            let ModerationEntry::Conversation(one) = record else { return true };
            let is_new = !conversations.contains(&one.id);
            conversations.push(one.id.clone());
            is_new
        });
        records
    })
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("transfer-{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

fn read(name: &str, text: &str) -> Result<(Vec<ModerationEntry>, Report), String> {
    read_at(name, text, NOW)
}

fn read_at(name: &str, text: &str, now: Millis) -> Result<(Vec<ModerationEntry>, Report), String> {
    let apps = ["leancloud".to_owned()];
    let role_hierarchy = RoleHierarchy::new(["member", "manager"].map(str::to_owned));
    let read = ImportFile::open(&file(name, text), &apps, &role_hierarchy, now);
    let (mut file, report) = read.map_err(|report| report.render(false))?;
    let (mut entries, mut parts) = (Vec::new(), file.parts().unwrap());
    while let Some(some) = parts.read_next().unwrap() {
        entries.extend(some);
    }
    assert_eq!(entries.len(), file.entries);
    Ok((entries, report))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn take(store: &Store, records: &[ModerationEntry], replace: bool) -> Result<ImportSummary, ImportError> {
    take_at(store, records, replace, NOW).await
}

async fn take_at(
    store: &Store,
    records: &[ModerationEntry],
    replace: bool,
    now: Millis,
) -> Result<ImportSummary, ImportError> {
    take_for(store, records, replace, now, &ChangeSubscribers::default()).await
}

async fn take_for(
    store: &Store,
    records: &[ModerationEntry],
    replace: bool,
    now: Millis,
    plan: &ChangeSubscribers,
) -> Result<ImportSummary, ImportError> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let path = file(&format!("taken-{}", FILES.fetch_add(1, Ordering::Relaxed)), &to_toml(records));
    let role_hierarchy = RoleHierarchy::default();
    let mut file = ImportFile::open(&path, &[], &role_hierarchy, now).unwrap().0;
    let import = Import { replace, plan, caller: AuditCaller { kind: "operator", subject: "ada" } };
    let imported = transfer::import(store, &mut file, &import, &mut |_| Ok(())).await;
    fs::remove_file(path).unwrap();
    imported
}

/// A file of entries, in the order of their tables.
fn to_toml(records: &[ModerationEntry]) -> String {
    let mut records: Vec<&ModerationEntry> = records.iter().collect();
    records.sort_by_cached_key(|record| record.key());
    records.into_iter().map(transfer::to_toml).collect()
}

fn kept(records: &[ModerationEntry]) -> BTreeMap<String, String> {
    records.iter().map(|record| (record.key().to_string(), record.value())).collect()
}

async fn held(store: &Store) -> BTreeMap<String, String> {
    transfer::read_entries(store).await.unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_goes_out_comes_in_again(records in records(), before in records()) {
        let text = to_toml(&records);
        let (read, _) = read("round", &text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(kept(&read), kept(&records));
        prop_assert_eq!(to_toml(&read), text);
        run(async {
            // Before any of them ends.
            let then = Millis(0);
            let store = Store::memory().unwrap();
            let done = take_at(&store, &read, false, then).await.unwrap();
            prop_assert_eq!(done, ImportSummary { set: records.len(), ..ImportSummary::default() });
            prop_assert_eq!(held(&store).await, kept(&records));
            prop_assert_eq!(take_at(&store, &read, false, then).await.unwrap(), ImportSummary::default());

            let other = Store::memory().unwrap();
            take_at(&other, &before, false, then).await.unwrap();
            take_at(&other, &read, true, then).await.unwrap();
            prop_assert_eq!(held(&other).await, kept(&records));
            Ok(())
        })?;
    }
}

#[test]
fn a_file_reads_as_one_would_write_it() {
    let text = r#"[[bans]]
user = "mallory"
conversation = "chat:*"
app = "leancloud"
until = 2027-01-01T00:00:00.000Z
reason = "said \"no\""
by = { kind = "user", subject = "bob", role = "manager" }
at = 2026-11-22T10:00:00.000Z

[[bindings]]
user = "tom"
conversation = "*"
removed = true
by = { kind = "service", subject = "orders" }
at = 2026-11-22T10:00:00.000Z

[[conversations]]
id = "5f3c2a1b9e8d7c6b5a493827"
kind = "group"
owner = "alice"
forgotten = true
by = { kind = "service", subject = "orders" }
at = 2026-11-22T10:00:00.000Z

"#;
    let (records, report) = read("written", text).unwrap();
    assert!(report.is_empty());
    assert_eq!(to_toml(&records), text);
}

#[test]
fn an_entry_without_an_author_is_the_imports() {
    let (records, _) = read("plain", "[[bans]]\nuser = \"mallory\"\n").unwrap();
    assert_eq!(records[0].origin().to_string(), format!("by import (service) at {NOW}"));
}

/// As over HTTP: what is told of a room's channel is found again by the room's name.
#[test]
fn what_is_said_of_a_rooms_channel_is_said_of_the_room() {
    let text = ["bans", "mutes", "blocks"]
        .map(|table| format!("[[{table}]]\nuser = \"tom\"\nconversation = \"den::$chat\"\n"));
    let role = "[[bindings]]\nuser = \"tom\"\nconversation = \"den::$chat:*\"\nrole = \"manager\"\n";
    let (records, _) = read("channels", &(text.concat() + role)).unwrap();
    let den = Pattern::parse("den").unwrap();
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record.scope() == Some(&den)), "{records:?}");
}

/// A list from elsewhere, in which nothing says since when it holds.
const NIGHTLY: &str = r#"
[[bans]]
user = "mallory"

[[mutes]]
user = "eve"
until = 2099-01-01T00:00:00Z
reason = "spam"

[[bindings]]
user = "tom"
conversation = "den"
role = "manager"

[[blocks]]
user = "tom"
conversation = "pub"

[[conversations]]
id = "den"
owner = "alice"
"#;

/// Takes over a list in the night of this number.
async fn take_in_night(store: &Store, text: &str, replace: bool, night: u64) -> ImportSummary {
    let now = Millis(NOW.0 + night * 86_400_000);
    take_at(store, &read_at("nightly", text, now).unwrap().0, replace, now).await.unwrap()
}

#[test]
fn what_says_no_time_is_the_same_however_often_it_comes() {
    run(async {
        let store = Store::memory().unwrap();
        assert_eq!(take_in_night(&store, NIGHTLY, false, 0).await.set, 5);
        let first = held(&store).await;
        assert_eq!(take_in_night(&store, NIGHTLY, false, 1).await, ImportSummary::default());
        assert_eq!(take_in_night(&store, NIGHTLY, true, 2).await, ImportSummary::default());
        assert_eq!((held(&store).await, store.head().await.unwrap().version), (first, 1));
        // What says something else is another.
        let other = NIGHTLY.replace("spam", "flood");
        assert_eq!(take_in_night(&store, &other, false, 3).await.set, 1);
        // And so is what says another time.
        let dated = format!("{other}[[bans]]\nuser = \"dan\"\nat = 2026-11-22T10:00:00Z\n");
        assert_eq!(take_in_night(&store, &dated, false, 4).await.set, 1);
        assert_eq!(take_in_night(&store, &dated, false, 5).await, ImportSummary::default());
        let later = dated.replace("at = 2026-11-22", "at = 2026-11-23");
        assert_eq!(take_in_night(&store, &later, false, 6).await.set, 1);
    });
}

#[test]
fn what_has_ended_takes_nothings_place() {
    let ban = |more: &str| read("ended", &format!("[[bans]]\nuser = \"perm\"\n{more}")).unwrap().0;
    run(async {
        let store = Store::memory().unwrap();
        take(&store, &ban(""), false).await.unwrap();
        let for_good = held(&store).await;
        let until_now = format!("until = {NOW}");
        for until in ["until = 2020-01-01T00:00:00Z", &until_now] {
            let done = take(&store, &ban(until), false).await.unwrap();
            assert_eq!(done, ImportSummary { ended: 1, ..ImportSummary::default() });
            assert_eq!(held(&store).await, for_good);
        }
        // By a file that is all there is, nothing holds.
        let done = take(&store, &ban("until = 2020-01-01T00:00:00Z"), true).await.unwrap();
        assert_eq!(done, ImportSummary { set: 0, deleted: 1, ended: 1 });
    });
}

#[test]
fn a_large_file_takes_several_changes() {
    let ban = |number: usize| format!("[[bans]]\nuser = \"u{number}\"\n");
    let (records, _) = read("large", &(0..=MAX_ENTRIES_PER_CHANGE).map(ban).collect::<String>()).unwrap();
    run(async {
        let store = Store::memory().unwrap();
        take(&store, &records, false).await.unwrap();
        let head = store.head().await.unwrap();
        assert_eq!((head.version, head.epoch.is_empty()), (2, false));
        assert_eq!(held(&store).await.len(), MAX_ENTRIES_PER_CHANGE + 1);
    });
}

#[test]
fn an_owner_stays_unless_all_is_replaced() {
    let owned = |more: &str| read("owner", &format!("[[conversations]]\nid = \"c\"\n{more}")).unwrap().0;
    run(async {
        let store = Store::memory().unwrap();
        take(&store, &owned("owner = \"alice\""), false).await.unwrap();
        for other in ["owner = \"bob\"", "kind = \"group\""] {
            let refused = take(&store, &owned(other), false).await.unwrap_err();
            assert!(refused.to_string().contains("has the owner alice in the store"), "{refused}");
        }
        take(&store, &owned("owner = \"bob\""), true).await.unwrap();
    });
}

/// A conversation has one entry for all apps, or one for each: where both were there, neither could be changed any more.
#[test]
fn an_entry_for_one_app_does_not_come_beside_one_for_all() {
    let owned = |more: &str| {
        let text = format!("[[conversations]]\nid = \"c\"\nowner = \"alice\"\n{more}");
        read("apart", &text).unwrap().0
    };
    let (all, one) = (owned(""), owned("app = \"leancloud\""));
    run(async {
        for (first, second) in [(&all, &one), (&one, &all)] {
            let store = Store::memory().unwrap();
            take(&store, first, false).await.unwrap();
            let refused = take(&store, second, false).await.unwrap_err();
            assert!(refused.to_string().contains("the conversation c has an entry for"), "{refused}");
            assert_eq!(held(&store).await, kept(first));
            take(&store, second, true).await.unwrap();
            assert_eq!(held(&store).await, kept(second));
        }
    });
}

#[test]
fn webhooks_and_vendors_are_told_of_an_import() {
    let (records, _) =
        read("told", "[[bans]]\nuser = \"a\"\n[[blocks]]\nuser = \"b\"\nconversation = \"c\"\n").unwrap();
    let plan = ChangeSubscribers {
        enforced: vec!["leancloud".into()],
        webhooks: vec!["https://app.example.com/hook".to_owned()],
    };
    let jobs = |plan: &ChangeSubscribers| {
        run(async {
            let store = Store::memory().unwrap();
            take_for(&store, &records, false, NOW, plan).await.unwrap();
            let jobs = store.list_jobs(chat_signer::moderation::store::JobState::Pending, "", "", 9).await.unwrap();
            jobs.iter().map(|job| job.key.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(jobs(&plan), ["enforce", "webhook", "webhook"]);
    assert_eq!(jobs(&ChangeSubscribers::default()), Vec::<String>::new());
}
