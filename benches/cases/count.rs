//! Repeats an operation to count its instructions with callgrind: `count STAGE CASE REGISTER TIMES`, or `count
//! authenticate ALGORITHM HOW TIMES`, or `count metrics request shown TIMES`. Without arguments it lists all countable
//! operations, a line each. `benches/callgrind` runs it.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::missing_panics_doc)]

#[path = "mod.rs"]
mod cases;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chat_signer::model::Action;
use chat_signer::telemetry::AuditDecision;
use chat_signer::telemetry::metrics::{DecisionCause, IdentityLabel, ListenerLabel, Metrics, RouteLabel};

use cases::caller::{Calls, Kind};
use cases::{Bench, Case, EntryCount, NOW};

const STAGES: [&str; 3] = ["parse", "decide", "sign"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["authenticate", kind, how, times] => {
            let kind = Kind::ALL.into_iter().find(|known| known.to_string() == *kind).expect("a known kind");
            let calls = Calls::new(kind, *how == "remembered", NOW);
            let times: usize = times.parse().expect("a number of times");
            counted(vec![(); times], |()| drop(black_box(calls.identify())));
        }
        ["metrics", .., times] => measure(times.parse().expect("a number of times")),
        [stage, case, register, times] => {
            let case = Case::ALL.into_iter().find(|known| known.as_str() == *case).expect("a known case");
            let register =
                EntryCount::ALL.into_iter().find(|known| known.as_str() == *register).expect("a known register");
            run(stage, &Bench::new(case, register), times.parse().expect("a number of times"));
        }
        _ => list(),
    }
}

fn list() {
    for kind in Kind::ALL {
        println!("authenticate {kind} anew");
        println!("authenticate {kind} remembered");
    }
    println!("metrics request shown");
    for case in Case::ALL {
        for register in EntryCount::ALL {
            println!("answer {case} {register}");
        }
    }
    for case in Case::ALL {
        for stage in STAGES {
            println!("{stage} {case} {}", EntryCount::Ten);
        }
    }
}

/// Counts what the metrics do for a request that succeeds.
fn measure(times: usize) {
    let (metrics, names) = (Metrics::default(), ["leancloud", "app-users"].map(Arc::from));
    let [app, authenticator] = &names;
    let rules = (0..=times).map(|_| Arc::from("managers-invite"));
    let count = |rule| {
        metrics.count_authentication(Some(authenticator), IdentityLabel::Accepted);
        metrics.count_decision(Arc::clone(app), Action::Invite, AuditDecision::Allow, DecisionCause::Rule(rule));
        let route = RouteLabel::Operation(Arc::clone(app), "invite");
        metrics.count_answer(ListenerLabel::Main, route, 200, Duration::from_micros(90));
    };
    // The first count of a label takes longer than later counts.
    let mut rules: Vec<Arc<str>> = rules.collect();
    rules.pop().into_iter().for_each(count);
    counted(rules, count);
}

fn run(stage: &str, bench: &Bench, times: usize) {
    let requests = || (0..times).map(|_| bench.request());
    match stage {
        "answer" => counted(requests().collect(), |request| drop(black_box(bench.answer(request)))),
        "parse" => counted(vec![(); times], |()| drop(black_box(bench.request()))),
        "decide" => {
            let asks = requests().map(|request| request.signing_request).collect();
            counted(asks, |signing_request| drop(black_box(bench.decide(signing_request))));
        }
        _ => {
            let permitted =
                requests().map(|request| (bench.decide(request.signing_request.clone()), request)).collect();
            counted(permitted, |(permit, request)| drop(black_box(bench.sign(&request, &permit))));
        }
    }
}

/// The measured function. callgrind finds it by its name.
#[inline(never)]
fn counted<T>(inputs: Vec<T>, each: impl FnMut(T)) {
    inputs.into_iter().for_each(each);
}
