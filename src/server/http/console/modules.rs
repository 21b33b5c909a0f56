//! The modules of the console's script, and their combination in one file.

/// The modules. Each stands after the modules that it needs when it starts. Each name at the top of a module must be unique
/// in all of them.
pub(super) const MODULES: [(&str, &str); 22] = [
    ("texts.js", include_str!("assets/texts.js")),
    ("preferences.js", include_str!("assets/preferences.js")),
    ("elements.js", include_str!("assets/elements.js")),
    ("dom.js", include_str!("assets/dom.js")),
    ("text.js", include_str!("assets/text.js")),
    ("time.js", include_str!("assets/time.js")),
    ("api.js", include_str!("assets/api.js")),
    ("session.js", include_str!("assets/session.js")),
    ("words.js", include_str!("assets/words.js")),
    ("live.js", include_str!("assets/live.js")),
    ("sheet.js", include_str!("assets/sheet.js")),
    ("find.js", include_str!("assets/find.js")),
    ("user.js", include_str!("assets/user.js")),
    ("why.js", include_str!("assets/why.js")),
    ("forms.js", include_str!("assets/forms.js")),
    ("history.js", include_str!("assets/history.js")),
    ("places.js", include_str!("assets/places.js")),
    ("list.js", include_str!("assets/list.js")),
    ("queue.js", include_str!("assets/queue.js")),
    ("keys.js", include_str!("assets/keys.js")),
    ("you.js", include_str!("assets/you.js")),
    ("main.js", include_str!("assets/main.js")),
];

/// Combines the modules: without imports and exports, which have no use in one file, and without comments and indentation.
pub(super) fn bundle() -> String {
    let is_left_out = |line: &&str| ["import ", "//", "/**", "* ", "*/"].iter().any(|start| line.starts_with(start));
    let lines = MODULES.iter().flat_map(|(_, text)| text.lines().map(str::trim));
    let kept = lines.filter(|line| !is_left_out(line) && !line.is_empty());
    kept.map(|line| line.strip_prefix("export ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    /// Returns the names that the modules declare at the top, in their order.
    fn declared(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter_map(|line| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            let kinds = ["const ", "let ", "function ", "class "];
            let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
        })
    }

    #[test]
    fn each_name_is_unique() {
        let mut names = HashSet::new();
        for name in MODULES.iter().flat_map(|(_, text)| declared(text)) {
            assert!(names.insert(name), "{name} is declared twice");
        }
        assert!(names.len() > 100, "{}", names.len());
    }

    #[test]
    fn imports_are_one_line_and_name_what_a_module_exports() {
        for (module, text) in MODULES {
            for line in text.lines().filter(|line| line.contains("import ") && !line.starts_with("//")) {
                let (names, file) = line.strip_prefix("import { ").unwrap().split_once(" } from \"./").unwrap();
                let file = file.strip_suffix("\";").unwrap();
                let (_, source) = MODULES.iter().find(|(name, _)| *name == file).unwrap();
                for name in names.split(", ") {
                    assert!(declared(source).any(|known| known == name), "{module}: {file} has no {name}");
                }
            }
        }
    }
}
