//! `[traces]`: the collector of the traces of requests.

use super::endpoint;
use super::reader::Section;
use super::secret::SecretResolver;
use crate::authn::Endpoint;

/// Reads the section, if the file has it.
pub(super) fn traces(root: &mut Section<'_>, vault: &mut SecretResolver) -> Option<Endpoint> {
    let mut section = root.section("traces")?;
    if !cfg!(feature = "otlp") {
        let help = "build it with `--features otlp`, or leave the section out";
        section.file.mistake(&section.span, "this program was built without the export of traces", help);
    }
    let help = "write the address of the collector: url = \"http://127.0.0.1:4318/v1/traces\"";
    let url = section.require("url", help).and_then(|item| endpoint::url(&item));
    let authorities = endpoint::authorities(&mut section, vault);
    let bearer = endpoint::bearer(&mut section, vault);
    section.report_unknown_keys();
    Some(Endpoint { url: url?, authorities, bearer })
}
