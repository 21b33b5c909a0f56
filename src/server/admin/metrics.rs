//! Builds all metrics when a client requests them: the counters of requests, and values that are read from live state.

use std::fmt::{self, Debug};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::model::Millis;
use crate::server::state::{ReadinessCheck, ServerState};
use crate::telemetry::metrics::ListenerLabel;
use crate::telemetry::process::{self, ProcessUsage};
use crate::upstream::KeySetStatus;

type MetricLabels<const N: usize> = [(&'static str, String); N];

/// Returns all metrics in the text format of OpenMetrics (version 1.0.0).
pub(super) fn openmetrics_text(runtime: &ServerState) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, &program_registry(runtime))?;
    encode_registry(&mut text, &process_registry(runtime.started, &process::usage()))?;
    encode_eof(&mut text)?;
    Ok(text)
}

/// Converts the metrics to the text format of Prometheus (version 0.0.4). In this format, a counter is declared with
/// its full name, and there is no end marker.
pub(super) fn to_prometheus_text(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let declared = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let total = |line: &str, name| line.replacen(name, &format!("{name}_total"), 1);
        for line in help.take().into_iter().chain([line]).filter(|line| *line != "# EOF") {
            classic += &declared.map_or_else(|| line.to_owned(), |name| total(line, name));
            classic.push('\n');
        }
    }
    classic
}

fn program_registry(runtime: &ServerState) -> Registry {
    let mut registry = Registry::with_prefix("chat_signer");
    runtime.metrics.register(&mut registry);
    let build = MetricLabels::from([("version", env!("CARGO_PKG_VERSION").to_owned())]);
    gauges(&mut registry, "build_info", "The program's version, always 1", [(build, 1.0)]);
    let is_ready = runtime.checks().iter().all(ReadinessCheck::passes);
    gauge(&mut registry, "ready", "Whether the server is ready to sign", u32::from(is_ready));
    counter(&mut registry, "audit_lines", "Lines in the audit log", runtime.audit.written());
    let help = "Lines that could not be written to the audit log, or were late";
    counter(&mut registry, "audit_errors", help, runtime.audit.failed());
    let help = "Seconds in which the program was ready to run, but got no CPU time or was stopped";
    counter(&mut registry, "scheduling_delay_seconds", help, runtime.moderation.scheduling.total().as_secs_f64());
    limits(&mut registry, runtime);
    reloads(&mut registry, runtime);
    key_sets(&mut registry, runtime);
    upstream_requests(&mut registry, runtime);
    certificates(&mut registry, runtime);
    moderation(&mut registry, runtime);
    registry
}

fn limits(registry: &mut Registry, runtime: &ServerState) {
    let limits = &runtime.snapshot().limits;
    let turned_away = limits.rejections().map(|(limit, count)| ([("limit", limit.to_owned())], count));
    counters(registry, "limited", "Requests and connections that a limit turned away", turned_away);
    let open = [(ListenerLabel::Main, &limits.connections), (ListenerLabel::Admin, &runtime.probe_connections)];
    let open = open.map(|(listener, cap)| ([("listener", listener.as_str().to_owned())], as_f64(cap.in_use())));
    gauges(registry, "connections", "Open connections", open);
    let help = "Requests in progress, without those that wait for their body";
    gauge(registry, "in_flight", help, as_f64(limits.in_flight.in_use()));
}

fn reloads(registry: &mut Registry, runtime: &ServerState) {
    let reloads = &runtime.reloads;
    let outcomes = reloads.counts().map(|(outcome, count)| ([("outcome", outcome.to_owned())], count));
    counters(registry, "reloads", "Reloads of the configuration, by outcome", outcomes);
    let help = "Time of the last reload that applied all changes, in seconds since 1970";
    gauge(registry, "reload_last_success_timestamp_seconds", help, timestamp(reloads.last_success()));
    let help = "Whether signer.toml or the policy has changes that are not in force because of mistakes";
    gauge(registry, "reload_failing", help, u32::from(reloads.failure().is_some()));
    let kept = |kept: Option<String>| f64::from(u8::from(kept.is_some()));
    let parts = reloads.parts().into_iter().map(|(part, reason)| ([("part", part)], kept(reason)));
    gauges(
        registry,
        "reload_kept",
        "Whether a part keeps earlier values, because its changed files can't be used",
        parts,
    );
}

fn key_sets(registry: &mut Registry, runtime: &ServerState) {
    let sets: Vec<_> = runtime.snapshot().upstreams.key_sets().collect();
    let named = |set: &KeySetStatus| [("authenticator", set.name.to_string())];
    let ages = sets.iter().filter_map(|set| Some((named(set), set.age.as_ref().map(Duration::as_secs_f64)?)));
    gauges(registry, "key_set_age_seconds", "Seconds since a key set was last fetched", ages);
    let keys = sets.iter().map(|set| (named(set), as_f64(set.keys)));
    gauges(registry, "key_set_keys", "Keys of a key set that are in use", keys);
    let fetches = sets.iter().flat_map(|set| {
        let outcomes = [("ok", set.fetched), ("failed", set.failed)];
        let name = &set.name;
        outcomes.map(|(outcome, count)| (outcome_labels("authenticator", name, outcome), count))
    });
    counters(registry, "key_set_fetches", "Fetches of a key set", fetches);
}

/// Adds the requests to other servers: credential lookups and facts.
fn upstream_requests(registry: &mut Registry, runtime: &ServerState) {
    let remote = &runtime.snapshot().upstreams;
    let lookups = remote.lookup_counts().flat_map(|(name, outcomes)| {
        outcomes.map(|(outcome, count)| (outcome_labels("authenticator", name, outcome.as_str()), count))
    });
    counters(registry, "lookups", "Requests to other servers to look up a credential", lookups);
    let facts = remote.facts_counts().into_iter().flat_map(|(source, outcomes)| {
        outcomes.map(|(outcome, count)| (outcome_labels("source", source, outcome.as_str()), count))
    });
    counters(registry, "facts", "Requests to a facts server about conversations", facts);
}

fn certificates(registry: &mut Registry, runtime: &ServerState) {
    let settings = &runtime.snapshot().settings;
    let shown = [(ListenerLabel::Main, &settings.server.tls), (ListenerLabel::Admin, &settings.admin.tls)];
    let ends = shown.into_iter().filter_map(|(listener, tls)| {
        let end = timestamp(tls.as_ref()?.valid_until);
        Some(([("listener", listener.as_str().to_owned())], end))
    });
    let help = "Expiry time of the certificate in use, in seconds since 1970";
    gauges(registry, "tls_certificate_expiry_timestamp_seconds", help, ends);
}

/// Adds the metrics of the moderation store, if there is a store.
fn moderation(registry: &mut Registry, runtime: &ServerState) {
    let moderation = &runtime.moderation;
    if moderation.store().is_none() {
        return;
    }
    let entries = moderation.read_any_age().len();
    gauge(registry, "moderation_entries", "Known bans, mutes, roles, blocks and conversations", as_f64(entries));
    let version = *moderation.version().borrow();
    gauge(registry, "moderation_version", "The number of the last change that is known", version);
    if let Some(age) = moderation.age() {
        let help = "Seconds since the last answer of the moderation store";
        gauge(registry, "moderation_age_seconds", help, age.as_secs_f64());
    }
    if let Some(offset) = moderation.clock_offset_seconds() {
        let help = "How far the clock of this machine is ahead of the clock of the moderation store";
        gauge(registry, "moderation_clock_offset_seconds", help, offset);
    }
    if let Some(is_writable) = moderation.is_writable() {
        let help = "Whether the store accepts changes, according to the last write";
        gauge(registry, "moderation_writable", help, u32::from(is_writable));
    }
    if let Some(store) = moderation.head().metrics_label() {
        let help = "The store that this instance follows, always 1";
        gauges(registry, "moderation_store_info", help, [([("store", store.to_owned())], 1.0)]);
    }
    moderation.failed_changes.register(registry);
    let streams = as_f64(runtime.snapshot().limits.streams.in_use());
    gauge(registry, "moderation_streams", "Open streams of events", streams);
}

/// Returns the metrics of the process, with the names that Prometheus' client libraries use. Values that the operating
/// system does not report are left out.
fn process_registry(started: Millis, usage: &ProcessUsage) -> Registry {
    let mut registry = Registry::with_prefix("process");
    gauge(&mut registry, "start_time_seconds", "When the process started, in seconds since 1970", timestamp(started));
    if let Some(cpu) = usage.cpu {
        counter(&mut registry, "cpu_seconds", "Processor time used, in seconds", cpu);
    }
    for (name, help, value) in [
        ("resident_memory_bytes", "Memory in use", usage.resident),
        ("open_fds", "Open files and connections", usage.open_files),
        ("max_fds", "Maximum number of open files and connections", usage.open_files_limit),
    ] {
        if let Some(value) = value {
            gauge(&mut registry, name, help, value);
        }
    }
    registry
}

fn outcome_labels(label: &'static str, name: &str, outcome: &str) -> MetricLabels<2> {
    [(label, name.to_owned()), ("outcome", outcome.to_owned())]
}

fn gauge<V>(registry: &mut Registry, name: &str, help: &str, value: V)
where
    V: EncodeGaugeValue + Debug + Send + Sync + 'static,
{
    registry.register(name, help, ConstGauge::new(value));
}

fn gauges<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (MetricLabels<N>, f64)>,
) {
    let family = Family::<MetricLabels<N>, Gauge<f64, AtomicU64>>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

/// Adds a counter. The output adds `_total` to its name.
fn counter<V>(registry: &mut Registry, name: &str, help: &str, value: V)
where
    V: EncodeCounterValue + Debug + Send + Sync + 'static,
{
    registry.register(name, help, ConstCounter::new(value));
}

fn counters<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (MetricLabels<N>, u64)>,
) {
    let family = Family::<MetricLabels<N>, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn timestamp(time: Millis) -> f64 {
    Duration::from_millis(time.0).as_secs_f64()
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_format_declares_counters_by_their_whole_names() {
        let text = "# HELP a_b Of a_b.\n# TYPE a_b counter\na_b_total{c=\"# EOF\"} 1\n# HELP d D.\n# TYPE d gauge\nd 2\n# EOF\n";
        let same = "# HELP a_b_total Of a_b.\n# TYPE a_b_total counter\na_b_total{c=\"# EOF\"} 1\n# HELP d D.\n# TYPE d gauge\nd 2\n";
        assert_eq!(to_prometheus_text(text), same);
    }
}
