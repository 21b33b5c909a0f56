//! The layers of the code: every `crate::` path in the server and in the core points to a module in a lower layer. The test fails on an
//! arrow that runs upward or sideways, on a cycle, and on a module that has no layer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, highest first. A module uses only modules in the lines below its own. The server re-exports the
/// modules of the core, so both crates name them in the same way.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app"],
    &["http", "admin", "reload"],
    &["runtime", "client"],
    &["limits"],
    &["outbox"],
    &["moderation"],
    &["store"],
    &["upstream"],
    &["config", "telemetry"],
    &["engine"],
    &["vendor"],
    &["authn"],
    &["policy", "redaction"],
    &["crypto", "clock", "random", "environment", "files"],
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
    let read = arrows(&[("policy".to_owned(), PathBuf::new(), without_comments(code))]);
    let expected = ["crypto", "model", "secret"].map(|to| arrow("policy", to));
    assert_eq!(read, BTreeSet::from(expected));

    let read = |path: &str, code: &str| arrows(&[("policy".to_owned(), PathBuf::from(path), code.to_owned())]);
    let (one, two) = ("use super::engine::Engine;", "use super::super::{engine, rule};");
    let escape = BTreeSet::from([arrow("policy", "engine")]);
    for (path, code) in [("policy.rs", one), ("policy/mod.rs", one), ("policy/a.rs", two), ("policy/a/mod.rs", two)] {
        assert_eq!(read(path, code), escape, "{path}");
    }
    assert_eq!(read("policy.rs", "mod tests { use super::super::engine; }"), escape);
    for (path, code) in [("policy/a.rs", one), ("policy/a/b.rs", two), ("policy.rs", "use super::*; use super::Rule;")]
    {
        assert_eq!(read(path, code), BTreeSet::new(), "{path}");
    }
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

/// Every `crate::module` that a source names, from the module it stands in.
fn arrows(sources: &[(String, PathBuf, String)]) -> BTreeSet<(String, String)> {
    let mut arrows = BTreeSet::new();
    for (module, path, code) in sources {
        let absolute = ["crate::", "chat_signer::"].into_iter().flat_map(|root| behind(code, root)).flat_map(heads);
        // Behind `super::` there may be anything of a module's own, too.
        let relative = escapes(path, code).flat_map(heads).filter(|to| layer(to).is_some());
        let others = absolute.chain(relative).filter(|to| to != module);
        arrows.extend(others.map(|to| (module.clone(), to)));
    }
    arrows
}

/// What stands behind each place of `path`.
fn behind<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(path).map(move |(at, _)| &code[at + path.len()..])
}

/// What stands behind at least as many `super::` as lead from the file at this path to the crate's root.
fn escapes<'a>(path: &Path, code: &'a str) -> impl Iterator<Item = &'a str> {
    let depth = path.iter().filter(|part| *part != "mod.rs").count().max(1);
    let starts = code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::"));
    starts.filter_map(move |(at, _)| {
        let rest = code[at..].trim_start_matches("super::");
        (code.len() - at - rest.len() >= depth * "super::".len()).then_some(rest)
    })
}

/// The first segments behind `crate::` or the like: one name, or those in braces.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut depth = 0;
    let mut top = String::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ if depth == 0 => top.push(character),
            _ => {}
        }
    }
    top.split(',').map(name).filter(|head| !head.is_empty()).collect()
}

/// Every source file of the server and of the core: its top-level module, its path in `src`, and its code without comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    ["src", "crates/core/src"].into_iter().flat_map(sources_in).collect()
}

fn sources_in(folder: &str) -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first).to_owned();
        let code = without_comments(&fs::read_to_string(&path).unwrap());
        (module, inside.to_owned(), code)
    };
    files.into_iter().map(read).filter(|(module, ..)| module != "lib").collect()
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
