//! Measures the time from an authenticated request to the signed result, and of each stage alone. Run it with `cargo
//! bench --bench sign`.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::missing_panics_doc)]

mod cases;

use cases::caller::{Calls, Kind};
use cases::{Bench, Case, EntryCount, NOW};
use divan::Bencher;

fn main() {
    divan::main();
}

/// Decide, build and sign: the cost of the policy and the vendor together.
mod answer {
    use super::{Bench, Bencher, Case, EntryCount};

    #[divan::bench(args = EntryCount::ALL)]
    fn leancloud_invite(bencher: Bencher, entries: EntryCount) {
        answer(bencher, Case::LeanCloud, entries);
    }

    #[divan::bench(args = EntryCount::ALL)]
    fn talkjs_token(bencher: Bencher, entries: EntryCount) {
        answer(bencher, Case::TalkJs, entries);
    }

    #[divan::bench(args = EntryCount::ALL)]
    fn ably_token(bencher: Bencher, entries: EntryCount) {
        answer(bencher, Case::AblyToken, entries);
    }

    #[divan::bench(args = EntryCount::ALL)]
    fn ably_token_request(bencher: Bencher, entries: EntryCount) {
        answer(bencher, Case::AblyTokenRequest, entries);
    }

    /// A token for each vendor that has no measurement of its own above.
    const FURTHER: [Case; 7] =
        [Case::Stream, Case::Pusher, Case::Tencent, Case::LiveKit, Case::Centrifugo, Case::Agora, Case::Jwt];

    #[divan::bench(args = FURTHER)]
    fn further_vendors(bencher: Bencher, case: Case) {
        answer(bencher, case, EntryCount::Ten);
    }

    fn answer(bencher: Bencher, case: Case, entries: EntryCount) {
        let bench = Bench::new(case, entries);
        bencher.with_inputs(|| bench.request()).bench_values(|request| bench.answer(request));
    }
}

/// Identify the caller: the check of a token.
mod authenticate {
    use super::{Bencher, Calls, Kind, NOW};

    #[divan::bench(args = Kind::ALL)]
    fn anew(bencher: Bencher, kind: Kind) {
        let calls = Calls::new(kind, false, NOW);
        bencher.bench(|| calls.identify());
    }

    #[divan::bench(args = Kind::ALL)]
    fn remembered(bencher: Bencher, kind: Kind) {
        let calls = Calls::new(kind, true, NOW);
        bencher.bench(|| calls.identify());
    }
}

/// Parse the request from the bytes of the body.
#[divan::bench(args = Case::ALL)]
fn parse(bencher: Bencher, case: Case) {
    let bench = Bench::new(case, EntryCount::Ten);
    bencher.bench(|| bench.request());
}

/// Decide whether the request is allowed.
#[divan::bench(args = Case::ALL)]
fn decide(bencher: Bencher, case: Case) {
    let bench = Bench::new(case, EntryCount::Ten);
    bencher
        .with_inputs(|| bench.request().signing_request)
        .bench_values(|signing_request| bench.decide(signing_request));
}

/// Build the string and sign it.
#[divan::bench(args = Case::ALL)]
fn sign(bencher: Bencher, case: Case) {
    let bench = Bench::new(case, EntryCount::Ten);
    let request = bench.request();
    let permit = bench.decide(request.signing_request.clone());
    bencher.bench(|| bench.sign(&request, &permit));
}
