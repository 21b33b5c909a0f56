//! Settings that cannot be changed while the program runs.

use crate::config::{AuditOutput, ListenAddress, Settings};
use crate::secret::Secret;

/// Compares the settings that cannot be changed while the program runs. Returns a sentence for each difference.
pub(super) fn restart_reasons(now: &Settings, next: &Settings) -> Vec<String> {
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
