//! Reloads the configuration while the program runs: on SIGHUP, and when its files change.
//!
//! The files are checked several times a second. The check follows all symbolic links and compares contents. So it does
//! not matter how the files are changed: in place, by a rename, or by a link to another directory, as Kubernetes does.
//! The type of the file system does not matter either. Changed files can be half written, so they are read only after
//! they have not changed for a moment. The whole configuration is read and checked before any of it takes effect. If
//! files change during the read, they are read again. A configuration with a mistake changes nothing.

mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{
    self, AuditOutput, ConfigProblem, ListenAddress, LoadResult, Report, Settings, Severity, SourceFiles,
};
use crate::secret::Secret;
use crate::server::state::ServerState;
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
    /// The warnings of the current settings.
    warnings: Vec<String>,
}

impl Reloader {
    /// Creates a reloader for a configuration that has just been loaded from `path`.
    pub fn new(runtime: Arc<ServerState>, path: PathBuf, sources: SourceFiles, report: &Report) -> Reloader {
        Reloader {
            runtime,
            path,
            watcher: FileWatcher::new(sources),
            warnings: problem_lines(report, Severity::Warning),
        }
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
        let path = self.path.clone();
        let reading = spawn_blocking(move || {
            let loaded = config::reload(&path);
            let after = loaded.sources.recheck();
            (loaded, after)
        });
        let Ok((loaded, after)) = reading.await else {
            self.watcher.ignore_until_changed();
            return self.reject(&["reading the files panicked, which is a bug: the log shows the location".to_owned()]);
        };
        let LoadResult { settings, report, sources } = loaded;
        if self.watcher.record_read(sources, after) {
            match settings
                .ok_or_else(|| problem_lines(&report, Severity::Mistake))
                .and_then(|settings| self.apply(settings))
            {
                Ok(()) => self.accept(&report),
                Err(mistakes) => self.reject(&mistakes),
            }
        }
    }

    /// Applies these settings.
    ///
    /// # Errors
    /// Returns the reasons why the settings cannot be applied.
    fn apply(&self, settings: Settings) -> Result<(), Vec<String>> {
        let changed = restart_reasons(&self.runtime.snapshot().settings, &settings);
        if !changed.is_empty() {
            return Err(changed);
        }
        self.runtime.replace(settings).map_err(|error| vec![error.to_string()])
    }

    fn accept(&mut self, report: &Report) {
        let warnings = problem_lines(report, Severity::Warning);
        for warning in warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            tracing::warn!(target: UNLIMITED, "{warning}");
        }
        self.warnings = warnings;
        self.runtime.warn_of_orphaned_entries();
        self.runtime.reloads.record_success();
        let snapshot = self.runtime.snapshot();
        log::set_level(snapshot.settings.log_level);
        tracing::info!(
            policy = snapshot.settings.engine.policy.document().hash,
            "the configuration was read again and is in force"
        );
    }

    fn reject(&self, mistakes: &[String]) {
        for mistake in mistakes {
            tracing::error!(target: UNLIMITED, "the changed configuration is not used: {mistake}");
        }
        let since = self.runtime.reloads.last_success();
        let others = match mistakes.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let first = mistakes.first().map_or("", String::as_str);
        self.runtime.reloads.record_failure(format!("the configuration of {since} is still in force: {first}{others}"));
    }
}

/// Compares the settings that cannot be changed while the program runs. Returns a sentence for each difference.
fn restart_reasons(now: &Settings, next: &Settings) -> Vec<String> {
    let mut changed = Vec::new();
    let mut compare = |key: &str, now: String, next: String| {
        if now != next {
            changed.push(format!("`{key}` can't be changed from {now} to {next} while the program runs: restart it"));
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
    if now.audit_chain.is_some() && next.audit_chain.is_some() && chain_key(now) != chain_key(next) {
        changed.push("`audit.chain_key` can't be changed while the program runs: restart it".to_owned());
    }
    if now.store != next.store {
        changed.push("`[store]` can't be changed while the program runs: restart it".to_owned());
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
