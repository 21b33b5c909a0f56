//! What attackers do with tokens, as one table. Each row is an honest caller's token with one thing about it changed, shown to a running
//! server; the token without that change is served before it and after it, so that no row is refused for another reason.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod algorithms;
mod carriage;
mod claims;
mod draft;
mod form;
mod issuer;
mod keys;
mod purposes;
mod row;
mod short_keys;
mod signatures;
mod world;

use std::collections::HashSet;

use row::Row;
use world::World;

fn table() -> Vec<Row> {
    let rows = [algorithms::rows(), keys::rows(), signatures::rows(), form::rows(), claims::rows(), carriage::rows()];
    rows.into_iter().flatten().chain(purposes::rows()).collect()
}

#[test]
fn no_attack_gets_through_and_the_next_honest_request_is_served() {
    let mut world = World::start();
    for row in table() {
        row.check(&mut world);
    }
    world.finish();
}

#[test]
fn every_attack_has_its_own_name() {
    let table = table();
    let names: HashSet<_> = table.iter().map(|row| &row.name).collect();
    assert_eq!(names.len(), table.len());
    assert!(table.len() >= 400, "{} rows", table.len());
}
