//! Puts a configuration in force that was changed while the program runs: on a hang-up, and when its files change.
//!
//! The files are looked at a few times a second, through all symbolic links and by what they hold. So it doesn't matter how they are
//! changed: in place, by a rename, or, as Kubernetes does it, by a link to another directory; on whatever file system. What changes is
//! read once it has stood still for a moment, as it may be half written; all of it is read and checked before any of it counts; and if
//! it changed meanwhile it is read again. A configuration with a mistake changes nothing.

mod fixed;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{self, ConfigProblem, LoadResult, Report, Settings, Severity, SourceFiles};
use crate::runtime::ServerState;
use crate::telemetry::log::UNLIMITED;
use watch::FileWatcher;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Keeps the settings in force those of the files.
pub struct Reloader {
    runtime: Arc<ServerState>,
    /// The configuration's first file.
    path: PathBuf,
    watch: FileWatcher,
    /// What was warned of when the settings in force were read.
    warnings: Vec<String>,
}

impl Reloader {
    /// For a configuration that has just been loaded from here.
    pub fn new(runtime: Arc<ServerState>, path: PathBuf, sources: SourceFiles, report: &Report) -> Reloader {
        Reloader { runtime, path, watch: FileWatcher::new(sources), warnings: lines(report, Severity::Warning) }
    }

    /// Looks at the files, for ever. A hang-up has them read at once, changed or not, and the audit log opened anew.
    pub async fn run(mut self, mut hangup: Signal) {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    self.runtime.audit.reopen();
                    self.watch.demand();
                }
                () = sleep(PERIOD) => {}
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let seen = self.watch.seen().clone();
        // Files may lie on a network that hangs: that must hold up nothing but this.
        let Ok(now) = spawn_blocking(move || seen.again()).await else { return };
        if self.watch.is_due(now) {
            self.read().await;
        }
        if self.watch.is_restless() {
            self.refuse(&["the files change all the time: let them stand still, or send SIGHUP".to_owned()]);
        }
    }

    async fn read(&mut self) {
        let path = self.path.clone();
        let reading = spawn_blocking(move || {
            let loaded = config::reload(&path);
            let after = loaded.sources.again();
            (loaded, after)
        });
        let Ok((loaded, after)) = reading.await else {
            self.watch.give_up();
            return self.refuse(&["reading it failed, which is a bug: the log has its place".to_owned()]);
        };
        let LoadResult { settings, report, sources } = loaded;
        if self.watch.was_read(sources, after) {
            match settings.ok_or_else(|| lines(&report, Severity::Mistake)).and_then(|settings| self.apply(settings)) {
                Ok(()) => self.accept(&report),
                Err(mistakes) => self.refuse(&mistakes),
            }
        }
    }

    /// Puts these settings in force, or says what keeps them from it.
    fn apply(&self, settings: Settings) -> Result<(), Vec<String>> {
        let changed = fixed::changed(&self.runtime.snapshot().settings, &settings);
        if !changed.is_empty() {
            return Err(changed);
        }
        self.runtime.replace(settings).map_err(|error| vec![error.to_string()])
    }

    fn accept(&mut self, report: &Report) {
        let warnings = lines(report, Severity::Warning);
        for warning in warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            tracing::warn!(target: UNLIMITED, "{warning}");
        }
        self.warnings = warnings;
        self.runtime.warn_of_strays();
        self.runtime.reloads.succeed();
        let snapshot = self.runtime.snapshot();
        tracing::info!(
            policy = snapshot.settings.engine.policy.document().hash,
            "the configuration was read again and is in force"
        );
    }

    fn refuse(&self, mistakes: &[String]) {
        for mistake in mistakes {
            tracing::error!(target: UNLIMITED, "a changed configuration is not used: {mistake}");
        }
        let since = self.runtime.reloads.last();
        let others = match mistakes.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let first = mistakes.first().map_or("", String::as_str);
        self.runtime.reloads.fail(format!("that of {since} is still in force: {first}{others}"));
    }
}

/// A report's problems of this severity, each in a line.
fn lines(report: &Report, severity: Severity) -> Vec<String> {
    report.problems().iter().filter(|problem| problem.severity == severity).map(line).collect()
}

fn line(problem: &ConfigProblem) -> String {
    let ConfigProblem { file, place, message, help, .. } = problem;
    let place = place.map_or(String::new(), |(line, column)| format!("{line}:{column}:"));
    let help = if help.is_empty() { String::new() } else { format!("; {help}") };
    format!("{file}:{place} {message}{help}")
}
