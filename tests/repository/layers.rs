//! The layers of the code: every `crate::` path in the server and in the core points to a module in a lower layer. The test fails on an
//! arrow that runs upward or sideways, on a cycle, and on a module that has no layer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, highest first. A module uses only modules in the lines below its own. `server/http` is the module `server::http`. The server re-exports the
/// modules of the core, so both crates name them in the same way.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["server/listener"],
    &["server/http", "server/admin", "server/reload"],
    &["server/routes"],
    &["server/state"],
    &["server/limits"],
    &["moderation/outbox"],
    &["moderation"],
    &["moderation/store"],
    &["upstream"],
    &["config", "telemetry"],
    &["core/moderation"],
    &["engine"],
    &["vendor"],
    &["authn"],
    &["policy", "redaction"],
    &["files"],
    &["crypto", "clock", "random", "environment"],
    &["secret", "model"],
];

#[test]
fn every_arrow_runs_down() {
    let arrows = arrows(&sources());
    assert!(arrows.len() > 10, "few arrows were found: is the reader broken? {arrows:?}");
    assert_eq!(complaints(&arrows), Vec::<String>::new());
}

#[test]
fn the_checks_can_fail() {
    let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let one = |from, to| complaints(&BTreeSet::from([arrow(from, to)]));
    assert_eq!(one("engine", "policy"), Vec::<String>::new());
    assert_eq!(one("policy", "engine"), ["policy → engine runs upward"]);
    assert_eq!(one("model", "secret"), ["model → secret runs sideways"]);
    assert_eq!(one("policy", "novelty"), ["novelty has no layer"]);
    let round = BTreeSet::from([arrow("vendor", "policy"), arrow("policy", "vendor")]);
    assert_eq!(complaints(&round), ["policy → vendor runs upward", "policy → vendor → policy is a cycle"]);

    let code = "// crate::engine\nuse crate::{model::Pattern, secret};\nfn f() { crate::crypto::hex(b\"\") }";
    let read = |path: &str, code: &str| arrows(&[(PathBuf::from(path), without_comments(code))]);
    assert_eq!(
        read("policy/mod.rs", code),
        BTreeSet::from(["crypto", "model", "secret"].map(|to| arrow("policy", to)))
    );

    let escape = BTreeSet::from([arrow("policy", "engine")]);
    let (one, two) = ("use super::engine::Engine;", "use super::super::{engine, rule};");
    for (path, code) in [("policy.rs", one), ("policy/mod.rs", one), ("policy/a.rs", two), ("policy/a/mod.rs", two)] {
        assert_eq!(read(path, code), escape, "{path}");
    }
    assert_eq!(read("policy.rs", "mod tests { use super::super::engine; }"), escape);
    for (path, code) in [("policy/a.rs", one), ("policy/a/b.rs", two), ("policy.rs", "use super::*; use super::Rule;")]
    {
        assert_eq!(read(path, code), BTreeSet::new(), "{path}");
    }

    let up = BTreeSet::from([arrow("moderation/store", "moderation"), arrow("moderation/store", "moderation/outbox")]);
    for code in ["use crate::moderation::{index::Index, outbox};", "use super::super::{index::Index, outbox::Job};"] {
        assert_eq!(read("moderation/store/redb.rs", code), up, "{code}");
    }
    assert_eq!(read("moderation/store/redb.rs", "use super::lease::Lease;"), BTreeSet::new());
}

fn complaints(arrows: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (from, to) in arrows {
        match (layer(from), layer(to)) {
            (None, _) => complaints.push(format!("{from} has no layer")),
            (_, None) => complaints.push(format!("{to} has no layer")),
            (Some(above), Some(below)) if above > below => complaints.push(format!("{from} → {to} runs upward")),
            (Some(above), Some(below)) if above == below => complaints.push(format!("{from} → {to} runs sideways")),
            _ => {}
        }
    }
    complaints.extend(cycle(arrows).map(|path| format!("{} is a cycle", path.join(" → "))));
    complaints
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// A path that comes back to where it starts, if there is one.
fn cycle(arrows: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().push(to);
    }
    next.keys().find_map(|start| walk(start, &mut vec![start], &next))
}

fn walk<'a>(start: &str, path: &mut Vec<&'a str>, next: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<String>> {
    for to in next.get(path.last()?)? {
        if *to == start {
            return Some(path.iter().copied().chain([start]).map(str::to_owned).collect());
        }
        if !path.contains(to) {
            path.push(to);
            if let Some(found) = walk(start, path, next) {
                return Some(found);
            }
            path.pop();
        }
    }
    None
}

/// Every module that a source names, with the module that the source belongs to.
fn arrows(sources: &[(PathBuf, String)]) -> BTreeSet<(String, String)> {
    let mut arrows = BTreeSet::new();
    for (path, code) in sources {
        let own = module_path(path);
        let absolute = ["crate::", "chat_signer::"].into_iter().flat_map(|root| behind(code, root)).flat_map(expand);
        let relative = relative_paths(&own, code).filter(|path| layer(&unit(path)).is_some());
        let units = absolute.chain(relative).map(|path| unit(&path)).filter(|to| *to != unit(&own));
        arrows.extend(units.map(|to| (unit(&own), to)));
    }
    arrows
}

/// The path of the module in this file: `server::http::sign` for `server/http/sign.rs`.
fn module_path(file: &Path) -> String {
    let parts: Vec<_> = file.iter().map(|part| part.to_str().unwrap().trim_end_matches(".rs")).collect();
    parts.into_iter().filter(|part| *part != "mod").collect::<Vec<_>>().join("::")
}

/// The module of the list of layers to which a path belongs.
fn unit(path: &str) -> String {
    let mut segments = path.split("::").filter(|segment| !segment.is_empty());
    let first = segments.next().unwrap_or_default();
    let pair = format!("{first}/{}", segments.next().unwrap_or_default());
    if layer(&pair).is_some() { pair } else { first.to_owned() }
}

/// The text behind each place of `path`.
fn behind<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(path).map(move |(at, _)| &code[at + path.len()..])
}

/// The paths from the root that begin with `super::`, for code in this module.
fn relative_paths<'a>(module: &'a str, code: &'a str) -> impl Iterator<Item = String> + 'a {
    let starts = code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::"));
    starts.flat_map(move |(at, _)| {
        let rest = code[at..].trim_start_matches("super::");
        let supers = (code.len() - at - rest.len()) / "super::".len();
        let segments: Vec<&str> = module.split("::").collect();
        let parent = segments[..segments.len().saturating_sub(supers)].join("::");
        expand(rest).into_iter().map(move |path| format!("{parent}::{path}"))
    })
}

/// The paths of a `use` tree: `a::{b, c::d}` has `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim_start();
    let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(tree.len());
    let (path, rest) = tree.split_at(end);
    match rest.strip_prefix('{') {
        Some(group) if path.is_empty() || path.ends_with("::") => {
            branches(group).into_iter().flat_map(expand).map(|branch| format!("{path}{branch}")).collect()
        }
        _ if path.is_empty() => Vec::new(),
        _ => vec![path.to_owned()],
    }
}

/// The branches of a group, up to its closing brace.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut branches) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                branches.push(&group[start..at]);
                return branches;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches
}

/// Every source file of the server and of the core: its path in `src`, and its code without comments. Both crates have a module
/// `moderation`, so that of the core has the path `core/moderation`.
fn sources() -> Vec<(PathBuf, String)> {
    let server = sources_in("src").into_iter();
    let server =
        server.map(|(path, code)| (path, code.replace("chat_signer_core::moderation", "crate::core::moderation")));
    let core = sources_in("crates/core/src").into_iter().map(|(path, code)| {
        let path = if path.starts_with("moderation") { Path::new("core").join(path) } else { path };
        (path, code.replace("crate::moderation", "crate::core::moderation"))
    });
    server.chain(core).collect()
}

fn sources_in(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |path: PathBuf| {
        let code = without_comments(&fs::read_to_string(&path).unwrap());
        (path.strip_prefix(&root).unwrap().to_owned(), code)
    };
    files.into_iter().map(read).filter(|(path, _)| path != Path::new("lib.rs")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn without_comments(code: &str) -> String {
    let lines: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}
