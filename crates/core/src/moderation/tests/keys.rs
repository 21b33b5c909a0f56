//! A written entry is read back under exactly one key.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::entry::{EntryKey, ModerationEntry};
use super::any_entry;
use crate::model::Pattern;

/// Generates names that caused problems elsewhere, and random names.
fn name() -> BoxedStrategy<String> {
    const DIFFICULT_NAMES: [&str; 16] = [
        "/",
        "a/b",
        "%",
        "%2F",
        "%2f",
        ".",
        "..",
        "a/../b",
        "é",
        "e\u{301}",
        "朝",
        "\u{10FFFF}",
        " ",
        "\"",
        "\\",
        "a:b",
    ];
    let chars = proptest::collection::vec(any::<char>(), 1..6).prop_map(String::from_iter);
    prop_oneof![select(&DIFFICULT_NAMES[..]).prop_map(str::to_owned), chars].boxed()
}

fn place() -> BoxedStrategy<Pattern> {
    let exact = name().prop_map(|name| Pattern::parse(&name.replace('*', "x")).unwrap());
    let under = name().prop_map(|name| Pattern::parse(&format!("{}:*", name.replace('*', "x"))).unwrap());
    prop_oneof![4 => exact, 2 => under, 1 => Just(Pattern::Everything)].boxed()
}

fn any_record() -> BoxedStrategy<ModerationEntry> {
    let app = proptest::option::of(name().prop_map(Arc::from)).boxed();
    any_entry(name(), place(), name(), app)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_is_read_as_it_was_written(record in any_record()) {
        let (key, value) = (record.key().to_string(), record.value());
        prop_assert_eq!(ModerationEntry::parse(&key, &value).unwrap(), record);
    }

    #[test]
    fn a_key_is_read_as_it_was_written(record in any_record()) {
        let key = record.key();
        let text = key.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._%/".contains(&byte)), "{}", text);
        prop_assert_eq!(EntryKey::parse(&text), Some(key));
    }

    #[test]
    fn different_keys_are_written_differently(records in proptest::collection::vec(any_record(), 2..6)) {
        let mut written: BTreeMap<String, EntryKey> = BTreeMap::new();
        for key in records.iter().map(ModerationEntry::key) {
            let before = written.insert(key.to_string(), key.clone());
            prop_assert!(before.is_none_or(|before| before == key));
        }
    }

    #[test]
    fn only_the_written_spelling_is_parsed(text in "[a-z]{0,3}(ban|role|conversation)?(/[%a-f0-9.+:*]{0,4}){0,6}") {
        if let Some(key) = EntryKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}

#[test]
fn a_key_has_one_spelling_and_all_its_parts() {
    for text in
        ["ban/tom/chat%3Ax//user/bob", "mute/tom/%2A/ably/service/b", "role/t/x/", "block/t/x/", "conversation/x//"]
    {
        assert_eq!(EntryKey::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "ban",
        "ban/tom/x/",
        "ban///",
        "ban/tom///user/bob",
        "ban//x//user/bob",
        "ban/tom/x//nobody/bob",
        "ban/tom/x//user/",
        "ban/%74om/x//user/bob",
        "ban/tom/chat%3ax//user/bob",
        "ban/tom/chat:x//user/bob",
        "ban/%+f/x//user/bob",
        "ban/%/x//user/bob",
        "ban/%FF/x//user/bob",
        "ban/tom/a%2Ab//user/bob",
        "role/tom/x//user/bob",
        "role/tom//",
        "conversation/x/y/",
        "conversation/x///",
        "bans/tom/x//user/bob",
    ] {
        assert_eq!(EntryKey::parse(text), None, "{text}");
    }
}

#[test]
fn an_entry_under_another_key_is_rejected() {
    let value = r#"{"id":"tom","scope":"x","by":{"kind":"user","subject":"bob"},"at":1}"#;
    assert!(ModerationEntry::parse("ban/tom/x//user/bob", value).is_ok());
    for key in ["ban/eve/x//user/bob", "ban/tom/y//user/bob", "ban/tom/x/ably/user/bob", "ban/tom/x//service/bob"] {
        assert!(ModerationEntry::parse(key, value).is_err(), "{key}");
    }
    for value in ["", "{}", "null", r#"{"id":"tom","scope":"a*b","by":{"kind":"user","subject":"bob"},"at":1}"#] {
        assert!(ModerationEntry::parse("ban/tom/x//user/bob", value).is_err(), "{value}");
    }
}

#[test]
fn entries_of_an_earlier_version_are_read() {
    for (key, earlier, now) in [
        (
            "mute/tom/x/ably/user/bob",
            r#"{"id":"tom","scope":"x","app":"ably","until":1800000000000,"reason":"spam","by":{"kind":"user","subject":"bob"},"at":1}"#,
            r#"{"app":"ably","at":"1970-01-01T00:00:00.001Z","by":{"kind":"user","subject":"bob"},"conversation":"x","reason":"spam","until":"2027-01-15T08:00:00.000Z","user":"tom"}"#,
        ),
        (
            "role/tom/%2A/",
            r#"{"id":"tom","scope":"*","by":{"kind":"service","subject":"b"},"at":1}"#,
            r#"{"at":"1970-01-01T00:00:00.001Z","by":{"kind":"service","subject":"b"},"user":"tom"}"#,
        ),
        (
            "conversation/x//",
            r#"{"id":"x","kind":"group","owner":"tom","forgotten":true,"by":{"kind":"service","subject":"b"},"at":1}"#,
            r#"{"at":"1970-01-01T00:00:00.001Z","by":{"kind":"service","subject":"b"},"conversation":"x","forgotten":true,"kind":"group","owner":"tom"}"#,
        ),
    ] {
        assert_eq!(ModerationEntry::parse(key, earlier).unwrap().value(), now);
        assert_eq!(ModerationEntry::parse(key, now), ModerationEntry::parse(key, earlier));
    }
}
