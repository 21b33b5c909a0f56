//! `[apps.*]` of `signer.toml`.

use super::enforcement::{self, Enforcement, EnforcementContext};
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::vendors::{self, AppSection, UsedIdentifiers};
use crate::model::Vendor;
use crate::policy::LintApp;
use crate::secret::Secret;
use crate::vendor::App;

/// The configured apps.
#[derive(Default)]
pub(super) struct ConfiguredApps {
    /// The apps without a mistake.
    pub(super) valid: Vec<App>,
    /// The names of all apps, also of those with a mistake, in the order of the file.
    pub(super) names: Vec<String>,
    /// The name and vendor of each app with a known vendor.
    pub(super) vendors: Vec<(String, Vendor)>,
    /// The keys of each app as configured, by the name of the app.
    pub(super) secrets: Vec<(String, Vec<Secret>)>,
    /// The apps whose bans and mutes the program carries out at their vendor.
    pub(super) enforcements: Vec<Enforcement>,
}

impl ConfiguredApps {
    /// Returns the apps with a known vendor, for the warnings about the policy.
    pub(super) fn for_lint(&self) -> Vec<LintApp> {
        let lint_app =
            |(name, vendor): &(String, Vendor)| LintApp { name: name.clone(), vendor: &vendor.spec().features };
        self.vendors.iter().map(lint_app).collect()
    }
}

/// Reads every app.
pub(super) fn apps(root: &mut Section<'_>, vault: &mut SecretResolver) -> ConfiguredApps {
    let mut apps = ConfiguredApps::default();
    let mut taken = UsedIdentifiers::default();
    let section = root.section("apps");
    let entries = section.as_ref().map(Section::entries).unwrap_or_default();
    if entries.is_empty() && section.is_some() == root.contains_key("apps") {
        report_no_app(root, section.as_ref());
    }
    let has_store = root.contains_key("store");
    for item in entries {
        let _part = root.file.enter(&format!("apps.{}", item.name));
        check_name(&item);
        apps.names.push(item.name.to_owned());
        apps.read(&item, &mut taken, vault, has_store);
    }
    apps.secrets = taken.secrets;
    apps
}

fn report_no_app(root: &Section<'_>, section: Option<&Section<'_>>) {
    let place = section.map_or(&root.span, |section| &section.span);
    let help = format!("add one: [apps.NAME] with vendor = {}", vendor_names());
    root.file.missing(place, "there is no app to sign for", help);
}

impl ConfiguredApps {
    /// Reads an app, and its enforcement if there is a store.
    fn read(
        &mut self,
        item: &ConfigItem<'_>,
        taken: &mut UsedIdentifiers,
        vault: &mut SecretResolver,
        has_store: bool,
    ) {
        let Some(mut section) = item.section(format!("[apps.{}]", item.name.escape_debug())) else { return };
        let Some(vendor) = vendor(&mut section) else { return };
        self.vendors.push((item.name.to_owned(), vendor));
        let mut own = AppSection { section: &mut section, name: item.name, vendor, vault, taken };
        let app = (vendors::config(vendor).app)(&mut own);
        let keys = taken.secrets.iter().find(|(name, _)| name == item.name).map_or(&[][..], |(_, keys)| keys);
        let of = EnforcementContext { vendor, app: app.as_ref(), keys, has_store };
        self.enforcements.extend(enforcement::enforcement(&mut section, &of, vault));
        self.valid.extend(app);
        section.report_unknown_keys();
    }
}

/// Checks the name of an app. The name is a part of its routes.
fn check_name(item: &ConfigItem<'_>) {
    let name = item.name;
    if matches!(name, "moderation" | "decide" | "openapi.json") {
        let message = format!("an app can't be called `{name}`: the server uses this path itself");
        item.file.mistake(&item.key, message, "give it another name");
        return;
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with('-') || name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        let message = format!("an app can't be called {}", quoted(name));
        let help = "use at most 64 small letters, digits and `-`, as the name is a part of the path";
        item.file.mistake(&item.key, message, help);
    }
}

fn vendor_names() -> String {
    Vendor::alternatives(|name| format!("\"{name}\""))
}

fn vendor(section: &mut Section<'_>) -> Option<Vendor> {
    let vendors: Vec<_> = Vendor::ALL.iter().map(|vendor| (vendor.as_str(), *vendor)).collect();
    let item = section.require("vendor", &format!("write vendor = {}", vendor_names()));
    let vendor = item.and_then(|item| item.keyword(&vendors));
    if vendor.is_none() {
        section.hide_unread_values();
    }
    vendor
}
