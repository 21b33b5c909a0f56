//! `init`: writes a `signer.toml` and a `policy.toml` to start from.

mod files;
mod texts;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::{CommandError, CommonArguments};
use crate::config::CHANGE_ME;
use crate::model::Vendor;

/// `init`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The vendors to sign for: leancloud, talkjs, ably, or several of them.
    #[arg(required = true, value_name = "VENDOR", value_parser = parse_vendor)]
    vendors: Vec<Vendor>,
    /// The directory for the two files. It is created if it does not exist. Default: the current directory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    // Each vendor once, in a fixed order.
    let vendors: Vec<_> = Vendor::ALL.into_iter().filter(|vendor| arguments.vendors.contains(vendor)).collect();
    let dir = arguments.dir.clone().unwrap_or_default();
    let [signer, policy] = ["signer.toml", "policy.toml"].map(|name| dir.join(name));
    files::write(&dir, &[(&policy, texts::policy(&vendors)), (&signer, texts::signer(&vendors))])
        .map_err(CommandError::Failed)?;
    let [signer, policy] = [signer, policy].map(|path| path.display().to_string());
    let config = arguments.dir.as_ref().map_or(String::new(), |_| format!(" --config {}", shell_quote(&signer)));
    let commands = commands(&vendors, &config);
    let json = || {
        let variables: Vec<_> = vendors.iter().map(|vendor| texts::secret_variable(*vendor).0).collect();
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
    for (variable, holds) in vendors.iter().map(|vendor| texts::secret_variable(*vendor)) {
        let _ = writeln!(text, "  {variable:<22}{holds}");
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
    Vendor::parse(name).ok_or_else(|| "must be leancloud, talkjs or ably".to_owned())
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
