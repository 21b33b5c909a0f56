//! The configuration files.
mod file;
mod reader;
mod report;
mod value;
pub use report::{Problem, Report, Severity};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    #[test]
    fn spans() {
        let t = "a = 1\n[apps.x]\nvendor = \"é\"\n[apps.y]\n[[rules]]\nid=1\n[[rules]]\n[server]\ncors.credentials=true\ninl = { a = 1 }\n";
        let (table, e) = toml::de::DeTable::parse_recoverable(t);
        assert!(e.is_empty());
        let file = file::File::new("x.toml".into(), t, true);
        let mut root = reader::Section::root(&file, table.get_ref());
        for i in root.entries() { eprintln!("{} {:?} {:?}", i.name, i.key, t.get(i.span.clone())); }
        let apps = root.section("apps").unwrap();
        for i in apps.entries() { eprintln!("{} {:?} {:?}", i.name, t.get(i.key.clone()), t.get(i.span.clone())); }
        for s in root.sections("rules") { eprintln!("{:?}", t.get(s.span)); }
        let s = root.section("server").unwrap();
        for i in s.entries() { eprintln!("{} {:?} {:?}", i.name, t.get(i.key.clone()), t.get(i.span.clone())); }
        apps.finish(); s.finish(); root.finish();
        eprintln!("{}", Report::new(file.into_problems()).render(false));
    }
}
