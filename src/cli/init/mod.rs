//! `init`: writes a `signer.toml` and a `policy.toml` to start from.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::common::{CommandError, CommonArguments};
use crate::config::CHANGE_ME;
use crate::model::Vendor;
use crate::vendor::InitTemplate;

/// `init`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The vendors to sign for: leancloud, talkjs, ably, stream, centrifugo, livekit, pusher, tencent, agora, jwt, or several of them.
    #[arg(required = true, value_name = "VENDOR", value_parser = parse_vendor)]
    vendors: Vec<Vendor>,
    /// The directory for the two files. It is created if it does not exist. Default: the current directory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    // Each vendor once, in a fixed order.
    let vendors: Vec<_> = Vendor::ALL.iter().copied().filter(|vendor| arguments.vendors.contains(vendor)).collect();
    let dir = arguments.dir.clone().unwrap_or_default();
    let [signer, policy] = ["signer.toml", "policy.toml"].map(|name| dir.join(name));
    write_files(&dir, &[(&policy, policy_text(&vendors)), (&signer, signer_text(&vendors))])
        .map_err(CommandError::Failed)?;
    let [signer, policy] = [signer, policy].map(|path| path.display().to_string());
    let config = arguments.dir.as_ref().map_or(String::new(), |_| format!(" --config {}", shell_quote(&signer)));
    let commands = commands(&vendors, &config);
    let json = || {
        let variables: Vec<_> = vendors.iter().map(|vendor| vendor.spec().init.variable).collect();
        json!({ "wrote": [signer, policy], "change": CHANGE_ME, "variables": variables, "next": commands }).to_string()
    };
    common.print(|| text(&signer, &policy, &vendors, &commands), json)?;
    Ok(ExitCode::SUCCESS)
}

/// Formats the text about the written files and the next steps.
fn text(signer: &str, policy: &str, vendors: &[Vendor], commands: &[String; 3]) -> String {
    let mut text = format!(
        "wrote {signer} and {policy}\n\n\
         In {signer}, replace each `{CHANGE_ME}` with your own value.\n\
         In the environment of the program, set\n"
    );
    for InitTemplate { variable, secret, .. } in vendors.iter().map(|vendor| &vendor.spec().init) {
        let _ = writeln!(text, "  {variable:<22}{secret}");
    }
    let [check, explain, serve] = commands;
    let _ = write!(
        text,
        "Then check the files, try the policy, and start the server:\n  {check}\n  {explain}\n  {serve}\n"
    );
    text
}

/// Returns the commands for the next steps. `config` is their last argument.
fn commands(vendors: &[Vendor], config: &str) -> [String; 3] {
    let app = vendors.first().map_or("APP", |vendor| vendor.as_str());
    let commands = ["check", &format!("explain {app} login --as alice"), "serve"];
    commands.map(|command| format!("chat-signer {command}{config}"))
}

/// Quotes a path for a shell, if necessary.
fn shell_quote(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

fn parse_vendor(name: &str) -> Result<Vendor, String> {
    Vendor::parse(name).ok_or_else(|| format!("must be {}", Vendor::alternatives(str::to_owned)))
}

/// Writes files in this order. A file that refers to the others comes last, so it never refers to a missing file.
///
/// # Errors
/// Returns a message if one of the files exists, or if a file cannot be written. Existing files stay unchanged.
fn write_files(dir: &Path, files: &[(&PathBuf, String)]) -> Result<(), String> {
    let there: Vec<_> =
        files.iter().filter(|(path, _)| path.symlink_metadata().is_ok()).map(|(path, _)| path).collect();
    if !there.is_empty() {
        return Err(already_exists(&there));
    }
    fs::create_dir_all(dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    create_all(files)
}

/// Creates files in this order. If a write fails, the files before it are removed.
fn create_all(files: &[(&PathBuf, String)]) -> Result<(), String> {
    for (done, (path, text)) in files.iter().enumerate() {
        let Err(error) = create(path, text) else { continue };
        for (earlier, _) in files.iter().take(done) {
            let _ = fs::remove_file(earlier);
        }
        return Err(match error.kind() {
            ErrorKind::AlreadyExists => already_exists(&[path]),
            _ => format!("cannot write {}: {error}", path.display()),
        });
    }
    Ok(())
}

/// Creates a file, which must not exist. If the write fails, the file is removed.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn already_exists(paths: &[&&PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let are = if names.len() == 1 { "exists" } else { "exist" };
    format!(
        "{} {are} already, so nothing was written: move the old files away, or choose another --dir",
        names.join(" and ")
    )
}

/// Returns the configuration for apps of these vendors.
fn signer_text(vendors: &[Vendor]) -> String {
    let apps = vendors.iter().map(|vendor| vendor.spec().init.signer);
    include_str!("signer/head.toml").to_owned() + &apps.collect::<String>() + include_str!("signer/callers.toml")
}

/// Returns the policy for these vendors.
fn policy_text(vendors: &[Vendor]) -> String {
    let rules = vendors.iter().map(|vendor| vendor.spec().init.policy);
    let moderators = include_str!("policy/moderators.toml");
    include_str!("policy/head.toml").to_owned()
        + &rules.collect::<String>()
        + moderators
        + include_str!("policy/people.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_path_as_one_word() {
        assert_eq!(shell_quote("./etc/signer.toml"), "./etc/signer.toml");
        assert_eq!(shell_quote("my files/it's"), r"'my files/it'\''s'");
    }
}
