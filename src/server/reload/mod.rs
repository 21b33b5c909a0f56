//! Reloads the configuration while the program runs: on SIGHUP, and when its files change.
//!
//! The files are checked several times a second. The check follows all symbolic links and compares contents. So it does
//! not matter how the files are changed: in place, by a rename, or by a link to another directory, as Kubernetes does.
//! The type of the file system does not matter either. Changed files can be half written, so they are read only after
//! they have not changed for a moment. The whole configuration is read and checked before any of it takes effect. If
//! files change during the read, they are read again. A part with a mistake keeps its earlier values.

mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{
    self, AUDIT_PART, AuditOutput, ConfigOrigin, ConfigProblem, ListenAddress, LoadResult, MAIN_PART, POLICY_PART,
    ReloadResult, Report, STORE_PART, Settings, Severity, StoreSettings,
};
use crate::secret::Secret;
use crate::server::state::{ConfigParts, ReloadOutcome, ServerState};
use crate::telemetry::log::{self, UNLIMITED};
use watch::FileWatcher;

/// The interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Keeps the current settings up to date with the configuration files.
pub struct Reloader {
    runtime: Arc<ServerState>,
    /// The main file of the configuration.
    path: PathBuf,
    watcher: FileWatcher,
    /// The origin of the current settings.
    origin: Arc<ConfigOrigin>,
    /// The warnings of the current settings.
    warnings: Vec<String>,
}

impl Reloader {
    /// Creates a reloader for a configuration that has just been loaded from `path`.
    pub fn new(runtime: Arc<ServerState>, path: PathBuf, loaded: LoadResult) -> Reloader {
        let LoadResult { report, sources, origin, .. } = loaded;
        runtime.reloads.set_parts(config_parts(&origin, &BTreeMap::new()));
        let (watcher, warnings) = (FileWatcher::new(sources), problem_lines(&report, Severity::Warning));
        Reloader { runtime, path, watcher, origin: Arc::new(origin), warnings }
    }

    /// Checks the files without end. SIGHUP makes it read them at once, even if they have not changed, and reopen the
    /// audit log.
    pub async fn run(mut self, mut hangup: Signal) {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    self.runtime.audit.reopen();
                    self.watcher.request_read();
                }
                () = sleep(CHECK_INTERVAL) => {}
            }
            self.check_files().await;
        }
    }

    async fn check_files(&mut self) {
        let seen = self.watcher.last_seen().clone();
        // The files can be on a network file system that hangs. This must not block anything else.
        let Ok(now) = spawn_blocking(move || seen.recheck()).await else { return };
        if self.watcher.is_due(now) {
            self.reload().await;
        }
        if self.watcher.became_unstable() {
            self.reject(&["the files change all the time: stop changing them, or send SIGHUP".to_owned()]);
        }
    }

    async fn reload(&mut self) {
        let (path, earlier, now) = (self.path.clone(), Arc::clone(&self.origin), self.runtime.snapshot());
        let reading = spawn_blocking(move || {
            let result = config::reload(&path, &earlier, |next| restart_reasons(&path, &now.settings, next));
            let after = result.sources.recheck();
            (result, after)
        });
        let Ok((result, after)) = reading.await else {
            self.watcher.ignore_until_changed();
            return self.reject(&["reading the files panicked, which is a bug: the log shows the location".to_owned()]);
        };
        if self.watcher.record_read(result.sources.clone(), after) {
            self.apply(result);
        }
    }

    /// Applies the settings, unless all parts that changed keep their earlier values.
    fn apply(&mut self, result: ReloadResult) {
        let ReloadResult { settings, report, origin, mistakes, kept, .. } = result;
        let is_changed = kept.is_empty() || origin != *self.origin;
        let applied = match settings {
            Some(settings) if is_changed => self.runtime.replace(settings).map_err(|error| vec![error.to_string()]),
            Some(_) => Ok(()),
            None => Err(mistakes.iter().map(problem_line).collect()),
        };
        if let Err(mistakes) = applied {
            return self.reject(&mistakes);
        }
        log_mistakes(&mistakes, &kept);
        let failure = self.file_failure(&mistakes, &kept);
        self.runtime.reloads.set_parts(config_parts(&origin, &kept));
        self.origin = Arc::new(origin);
        if !is_changed {
            return self.runtime.reloads.record(ReloadOutcome::Refused, failure);
        }
        let outcome = if kept.is_empty() { ReloadOutcome::Applied } else { ReloadOutcome::Partial };
        self.runtime.reloads.record(outcome, failure);
        self.report_success(&report, outcome);
    }

    fn report_success(&mut self, report: &Report, outcome: ReloadOutcome) {
        let warnings = problem_lines(report, Severity::Warning);
        for warning in warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            tracing::warn!(target: UNLIMITED, "{warning}");
        }
        self.warnings = warnings;
        self.runtime.warn_of_orphaned_entries();
        let snapshot = self.runtime.snapshot();
        log::set_level(snapshot.settings.log_level);
        let policy = snapshot.settings.engine.policy.document().hash.as_str();
        match outcome {
            ReloadOutcome::Partial => tracing::warn!(policy, "the rest of the changed configuration is in force"),
            ReloadOutcome::Applied | ReloadOutcome::Refused => {
                tracing::info!(policy, "the configuration was read again and is in force");
            }
        }
    }

    /// Returns a sentence about the main file and the policy, if one of them is not in force.
    fn file_failure(&self, mistakes: &[ConfigProblem], kept: &BTreeMap<String, ConfigProblem>) -> Option<String> {
        let file = [MAIN_PART, POLICY_PART].into_iter().find(|part| kept.contains_key(*part))?;
        Some(self.failure_text(file, &problem_line(kept.get(file)?), mistakes.len()))
    }

    fn reject(&self, mistakes: &[String]) {
        for mistake in mistakes {
            tracing::error!(target: UNLIMITED, "the changed configuration is not used: {mistake}");
        }
        let first = mistakes.first().map_or("", String::as_str);
        let failure = self.failure_text("configuration", first, mistakes.len());
        self.runtime.reloads.record(ReloadOutcome::Refused, Some(failure));
    }

    fn failure_text(&self, what: &str, first: &str, count: usize) -> String {
        let since = self.runtime.reloads.last_success();
        let others = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        format!("the {what} of {since} is still in force: {first}{others}")
    }
}

/// Logs each mistake once: those of a part that keeps its earlier values with the name of the part.
fn log_mistakes(mistakes: &[ConfigProblem], kept: &BTreeMap<String, ConfigProblem>) {
    let mut logged = BTreeSet::new();
    for mistake in mistakes {
        let line = problem_line(mistake);
        let part = mistake.part.as_ref().filter(|part| *part != POLICY_PART && kept.contains_key(*part));
        match part {
            _ if !logged.insert(line.clone()) => {}
            Some(part) => tracing::error!(target: UNLIMITED, part, "{part} keeps its earlier values: {line}"),
            None => tracing::error!(target: UNLIMITED, "the changed configuration is not used: {line}"),
        }
    }
}

/// Returns all parts, each with the reason if it keeps earlier values.
fn config_parts(origin: &ConfigOrigin, kept: &BTreeMap<String, ConfigProblem>) -> ConfigParts {
    origin.names().map(|part| (part.to_owned(), kept.get(part).map(problem_line))).collect()
}

/// Compares the settings that cannot be changed while the program runs. Returns a mistake for each difference.
fn restart_reasons(file: &Path, now: &Settings, next: &Settings) -> Vec<ConfigProblem> {
    let restart =
        |message: String| ConfigProblem::of_file(file, format!("{message} while the program runs: restart it"), "");
    let mut changed = Vec::new();
    let mut compare = |key: &str, now: String, next: String| {
        if now != next {
            changed.push(restart(format!("`{key}` can't be changed from {now} to {next}")));
        }
    };
    compare("server.listen", now.server.listen.to_string(), next.server.listen.to_string());
    if let (ListenAddress::Unix { mode: now, .. }, ListenAddress::Unix { mode: next, .. }) =
        (&now.server.listen, &next.server.listen)
    {
        compare("server.socket_mode", format!("{now:04o}"), format!("{next:04o}"));
    }
    compare("server.tls", on_or_off(now.server.tls.as_ref()), on_or_off(next.server.tls.as_ref()));
    compare("admin.listen", now.admin.listen.to_string(), next.admin.listen.to_string());
    compare("admin.tls", on_or_off(now.admin.tls.as_ref()), on_or_off(next.admin.tls.as_ref()));
    compare("audit.to", destination(&now.audit), destination(&next.audit));
    compare("audit.chain", on_or_off(now.audit_chain.as_ref()), on_or_off(next.audit_chain.as_ref()));
    let of_part = |part: &str, what: &str| restart(format!("{what} can't be changed")).of_part(part);
    if now.audit_chain.is_some() && next.audit_chain.is_some() && chain_key(now) != chain_key(next) {
        changed.push(of_part(AUDIT_PART, "`audit.chain_key`"));
    }
    let identity = |settings: &Settings| settings.store.as_ref().map(StoreSettings::without_credentials);
    if identity(now) != identity(next) {
        changed.push(of_part(STORE_PART, "`[store]`, except its credentials,"));
    }
    changed
}

/// Returns whether a setting is present, for example TLS. Its details, such as the certificates, can change.
fn on_or_off<T>(setting: Option<&T>) -> String {
    if setting.is_some() { "on" } else { "off" }.to_owned()
}

/// Returns the key that signs the chain of the audit log. The other keys only verify, and can change.
fn chain_key(settings: &Settings) -> Option<&Secret> {
    settings.audit_chain.as_ref()?.keys.first()
}

fn destination(to: &AuditOutput) -> String {
    match to {
        AuditOutput::Stdout => "stdout".to_owned(),
        AuditOutput::File(path) => path.display().to_string(),
    }
}

/// Returns the problems of this severity, each as one line.
fn problem_lines(report: &Report, severity: Severity) -> Vec<String> {
    report.problems().iter().filter(|problem| problem.severity == severity).map(problem_line).collect()
}

fn problem_line(problem: &ConfigProblem) -> String {
    let ConfigProblem { file, place, message, help, .. } = problem;
    let place = place.map_or(String::new(), |(line, column)| format!("{line}:{column}:"));
    let help = if help.is_empty() { String::new() } else { format!("; {help}") };
    format!("{file}:{place} {message}{help}")
}
