//! `audit verify`: checks the hash chains in files of the audit log.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::common::{
    CommandError, CommonArguments, OutputFormat, escape_lines, exit_code, print, print_error, render_report,
};
use crate::config;
use crate::telemetry::chain::{ChainKey, ChainRecord, ChainReport, ChainVerifier};

/// `audit verify`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The files of the audit log, in any order. Include rotated files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file with a key of the chains. Repeat it for several keys. Default: `chain_key` of the configuration.
    #[arg(long, value_name = "FILE")]
    key_file: Vec<PathBuf>,
    /// Verify chains without a key. Reads neither a key nor the configuration.
    #[arg(long, conflicts_with = "key_file")]
    no_key: bool,
    /// Print the head of each chain (its id, and the number and hash of its last line), to keep as a record in another
    /// place.
    #[arg(long)]
    heads: bool,
    /// A file with an earlier output of `--heads`. Report lines that were cut off since then.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let record = arguments.record.as_deref().map_or_else(|| Ok(ChainRecord::default()), record)?;
    let mut verifier = ChainVerifier::new(arguments.keys(common)?, record);
    for path in &arguments.files {
        let name = path.display().to_string();
        let read = File::open(path).and_then(|file| verifier.read(&name, &mut BufReader::with_capacity(1 << 16, file)));
        read.map_err(|error| CommandError::Failed(format!("cannot read {name}: {error}")))?;
    }
    let report = verifier.finish();
    print_report(common, arguments.heads, &report)?;
    Ok(exit_code(report.is_clean()))
}

impl Arguments {
    fn keys(&self, common: &CommonArguments) -> Result<Vec<ChainKey>, CommandError> {
        if self.no_key {
            return Ok(Vec::new());
        }
        if self.key_file.is_empty() {
            return configured_keys(common);
        }
        self.key_file.iter().map(|path| key(path)).collect()
    }
}

fn key(path: &Path) -> Result<ChainKey, CommandError> {
    let secret = config::read_chain_key(path);
    let secret = secret.map_err(|error| CommandError::Failed(format!("--key-file {}: {error}", path.display())))?;
    Ok(ChainKey::new(&secret))
}

fn configured_keys(common: &CommonArguments) -> Result<Vec<ChainKey>, CommandError> {
    let chain = config::read_audit_chain(&common.config).map_err(|report| {
        let report = render_report(&report);
        CommandError::Invalid(format!(
            "{report}\nThe key comes from the configuration, unless you give --key-file or --no-key."
        ))
    })?;
    Ok(chain.iter().flat_map(|chain| &chain.keys).map(ChainKey::new).collect())
}

fn record(path: &Path) -> Result<ChainRecord, CommandError> {
    let flaw = |flaw: String| CommandError::Failed(format!("--record {}: {flaw}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| flaw(error.to_string()))?;
    ChainRecord::parse(&text).map_err(|error| flaw(error.to_string()))
}

fn print_report(common: &CommonArguments, heads: bool, report: &ChainReport) -> Result<(), CommandError> {
    if heads && common.output == OutputFormat::Text {
        print_error(&escape_lines(&text(report)));
        if report.ends.is_empty() {
            return Ok(());
        }
        let ends: Vec<String> = report.ends.iter().map(|end| format!("{end}\n")).collect();
        return print(&ends.concat());
    }
    common.print(|| text(report), || json(report))
}

/// Formats a line for each problem, and a line with the summary.
fn text(report: &ChainReport) -> String {
    let torn = report.torn.iter().map(|at| format!("{at}: torn: a line that was not completely written\n"));
    let problems = report.problems.iter().map(|problem| format!("{problem}\n"));
    let found: String = torn.chain(problems).collect();
    let more = if report.more > 0 { format!("{} more problems are not shown\n", report.more) } else { String::new() };
    let chains = report.ends.len();
    let what = format!("{} in {}", counted(report.lines, "line"), counted(chains as u64, "chain"));
    let answer = match report.problem_count() {
        0 => format!("yes: {what}, and none is missing, changed, duplicated or out of order"),
        count => format!("no: {}; {what}", counted(count, "problem")),
    };
    format!("{found}{more}{answer}")
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn json(report: &ChainReport) -> String {
    json!({
        "ok": report.is_clean(),
        "files": report.files,
        "lines": report.lines,
        "chains": report.ends,
        "problems": report.problems,
        "more_problems": report.more,
        "torn": report.torn,
    })
    .to_string()
}
