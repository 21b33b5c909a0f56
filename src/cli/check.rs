//! `check`: reads the configuration and the policy, and reports every mistake with its place in the file.

use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::common::{CommandError, CommonArguments, OutputFormat, escape_line, exit_code, has_color, print};
use crate::config::{self, Report, Settings, Severity};

pub(super) fn run(common: &CommonArguments) -> Result<ExitCode, CommandError> {
    let loaded = config::load(&common.config);
    let (report, settings) = (&loaded.report, loaded.settings.as_ref());
    // `common.print` would escape the colors. The report escapes text from outside itself.
    match common.output {
        OutputFormat::Text => print(&text(common, report, settings))?,
        OutputFormat::Json => print(&json(report, settings).to_string())?,
    }
    Ok(exit_code(settings.is_some()))
}

fn text(common: &CommonArguments, report: &Report, settings: Option<&Settings>) -> String {
    let mut text = report.render(has_color(&io::stdout()));
    if !report.is_empty() {
        text.push('\n');
    }
    let warnings = count(report.count(Severity::Warning), "warning");
    let summary = match settings {
        None => format!("{}, {warnings}", count(report.count(Severity::Mistake), "mistake")),
        Some(settings) => {
            let file = escape_line(&common.config.display().to_string());
            let but = if report.is_empty() { String::new() } else { format!(" ({warnings})") };
            let [apps, authenticators, rules] = counts(settings).map(|(one, number)| count(number, one));
            format!("{file} and its policy are valid{but}: {apps}, {authenticators}, {rules}")
        }
    };
    text + &summary
}

fn json(report: &Report, settings: Option<&Settings>) -> Value {
    let mut json = json!({
        "ok": settings.is_some(),
        "mistakes": report.count(Severity::Mistake),
        "warnings": report.count(Severity::Warning),
        "problems": report.json(),
    });
    for (one, number) in settings.map(counts).into_iter().flatten() {
        json[format!("{one}s")] = json!(number);
    }
    json
}

fn counts(settings: &Settings) -> [(&'static str, usize); 3] {
    let engine = &settings.engine;
    [
        ("app", engine.apps.len()),
        ("authenticator", engine.authenticators.names().count()),
        ("rule", engine.policy.document().rules.len()),
    ]
}

/// Formats a number with its noun: `1 rule`, `2 rules`.
fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}
