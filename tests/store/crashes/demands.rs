//! What is asked of the moderation entries, and what becomes of it then.

use chat_signer::moderation::EntryKind;
use serde_json::{Map, Value, json};

use crate::crashes::kept::{Entries, place};

/// Longer than any test.
pub(crate) const LATER: &str = "2099-01-01T00:00:00.000Z";

pub(crate) struct Demand {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    /// How many users or conversations it is about.
    pub(crate) subjects: usize,
    /// What becomes of entries, by place.
    effects: Vec<(String, Option<Value>)>,
}

/// Where something holds: in a conversation or everywhere, at an app or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) conversation: Option<&'static str>,
    pub(crate) app: Option<&'static str>,
}

impl Demand {
    pub(crate) fn impose(table: EntryKind, users: &[String], spot: Spot, until: Option<&str>, reason: &str) -> Demand {
        let terms = [("until", until), ("reason", Some(reason))];
        let path = format!("/v1/moderation/{}", table.as_str());
        Demand::post(path, users, spot, &terms, |user| (table, Some(entry(user, spot, &terms))))
    }

    pub(crate) fn lift(table: EntryKind, users: &[String], spot: Spot) -> Demand {
        let path = format!("/v1/moderation/{}/lift", table.as_str());
        Demand::post(path, users, spot, &[], |_| (table, None))
    }

    pub(crate) fn set_role(users: &[String], spot: Spot, role: &str) -> Demand {
        let terms = [("role", Some(role))];
        let effect = |user: &str| (EntryKind::Roles, Some(entry(user, spot, &terms)));
        Demand::post("/v1/moderation/roles".to_owned(), users, spot, &terms, effect)
    }

    /// What is left of a role says that there is none.
    pub(crate) fn remove_role(user: &str, spot: Spot, role: &str) -> Demand {
        let effect = |user: &str| (EntryKind::Roles, Some(entry(user, spot, &[])));
        let users = [user.to_owned()];
        Demand::post("/v1/moderation/roles/remove".to_owned(), &users, spot, &[("role", Some(role))], effect)
    }

    pub(crate) fn block(user: &str, spot: Spot, is_lifted: bool) -> Demand {
        let path = format!("/v1/moderation/blocks{}", if is_lifted { "/lift" } else { "" });
        let told = entry(user, spot, &[]);
        let body = json!({ "client_id": user, "conversation": spot.conversation, "app": spot.app });
        let effect = (place(EntryKind::Blocks, &told), (!is_lifted).then_some(told));
        Demand { method: "POST", path, body: Some(without_nulls(body)), subjects: 1, effects: vec![effect] }
    }

    pub(crate) fn set_conversation(id: &str, kind: &str, owner: Option<&str>) -> Demand {
        let told = without_nulls(json!({ "conversation": id, "kind": kind, "owner": owner }));
        let effects = vec![(place(EntryKind::Conversations, &told), Some(told))];
        let body = Some(without_nulls(json!({ "kind": kind, "owner": owner })));
        Demand { method: "PUT", path: format!("/v1/moderation/conversations/{id}"), body, subjects: 1, effects }
    }

    /// What is left of a conversation says who owned it.
    pub(crate) fn forget_conversation(id: &str, owner: Option<&str>) -> Demand {
        let told = json!({ "conversation": id, "owner": owner, "forgotten": true });
        let effects = vec![(place(EntryKind::Conversations, &told), owner.map(|_| told))];
        Demand {
            method: "DELETE",
            path: format!("/v1/moderation/conversations/{id}"),
            body: None,
            subjects: 1,
            effects,
        }
    }

    fn post(
        path: String,
        users: &[String],
        spot: Spot,
        terms: &[(&str, Option<&str>)],
        effect: impl Fn(&str) -> (EntryKind, Option<Value>),
    ) -> Demand {
        let mut body = json!({ "users": users, "conversation": spot.conversation, "app": spot.app });
        for (name, value) in terms {
            body[*name] = json!(value);
        }
        let effects = users.iter().map(|user| {
            let (table, told) = effect(user);
            (place(table, &entry(user, spot, &[])), told)
        });
        let (effects, body) = (effects.collect(), Some(without_nulls(body)));
        Demand { method: "POST", path, body, subjects: users.len(), effects }
    }

    /// Does to what is known what the program does when it acknowledges.
    pub(crate) fn apply(&self, entries: &mut Entries) {
        for (place, told) in &self.effects {
            match told {
                Some(told) => drop(entries.insert(place.clone(), told.clone())),
                None => drop(entries.remove(place)),
            }
        }
    }
}

fn entry(user: &str, spot: Spot, terms: &[(&str, Option<&str>)]) -> Value {
    let mut entry = json!({ "user": user, "conversation": spot.conversation, "app": spot.app });
    for (name, value) in terms {
        entry[*name] = json!(value);
    }
    without_nulls(entry)
}

fn without_nulls(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}
