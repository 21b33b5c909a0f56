//! Reads the configuration of a running program again. What cannot be used keeps its earlier value; the rest of the
//! change is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::origin::{ConfigOrigin, MAIN_PART, POLICY_PART};
use super::report::{ConfigProblem, Report, Severity};
use super::settings::{LoadResult, Settings, read};
use super::source_files::{FileReader, SourceFiles};

/// The result of reading the configuration again.
#[derive(Debug)]
pub struct ReloadResult {
    /// The settings. `None` if no part of the change can be used without the rest.
    pub settings: Option<Settings>,
    /// The warnings about these settings.
    pub report: Report,
    /// The files that were read, also those that could not be read.
    pub sources: SourceFiles,
    /// The origin of the settings.
    pub origin: ConfigOrigin,
    /// The mistakes in the parts that cannot be used.
    pub mistakes: Vec<ConfigProblem>,
    /// The parts that keep their earlier values although their files have changed. Each has the mistake that is the
    /// reason.
    pub kept: BTreeMap<String, ConfigProblem>,
}

/// Reads the configuration again. `earlier` is the origin of the settings in force. `restart_reasons` returns a mistake
/// for each setting that cannot change while the program runs. If the configuration includes a pipe or device, that is
/// a mistake, because these can be read only once.
///
/// A section whose own files cannot be used keeps its earlier text and files. If there is another mistake, these
/// combinations are tried, in this order:
///
/// 1. the earlier `signer.toml` with the earlier files of all its sections, and the new policy;
/// 2. the earlier policy, unless `signer.toml` differs, because the two changes can belong together.
pub fn reload(
    path: &Path,
    earlier: &Arc<ConfigOrigin>,
    restart_reasons: impl Fn(&Settings) -> Vec<ConfigProblem>,
) -> ReloadResult {
    let reader = FileReader::for_reload(Arc::clone(earlier));
    let all_but_policy: Vec<_> = earlier.names().filter(|part| *part != POLICY_PART).collect();
    let combinations = [&[][..], &all_but_policy, &[MAIN_PART, POLICY_PART]];
    let mut mistakes: Vec<ConfigProblem> = Vec::new();
    for kept in combinations {
        let kept = kept.iter().map(|part| (*part).to_owned()).collect();
        let mut attempt = Attempt::run(path, &reader, earlier, kept, &restart_reasons);
        attempt.is_usable &= ![MAIN_PART, POLICY_PART].iter().all(|part| attempt.kept.contains(*part));
        // The first mistakes say what is wrong with the files. Later ones can be consequences of the combination.
        if attempt.is_usable || mistakes.is_empty() {
            mistakes.append(&mut attempt.mistakes);
        }
        if attempt.is_usable {
            return attempt.into_result(mistakes);
        }
    }
    let (sources, origin) = (reader.sources(), ConfigOrigin::clone(earlier));
    ReloadResult { settings: None, report: Report::default(), sources, origin, mistakes, kept: BTreeMap::new() }
}

/// Returns the first mistake of a part, or the first of all mistakes.
fn reason<'m>(mistakes: &'m [ConfigProblem], part: &str) -> Option<&'m ConfigProblem> {
    mistakes.iter().find(|mistake| mistake.part.as_deref().unwrap_or(MAIN_PART) == part).or(mistakes.first())
}

/// An attempt to read the configuration with some parts as they were.
struct Attempt {
    loaded: LoadResult,
    is_usable: bool,
    /// The parts that have their earlier values although their files differ.
    kept: BTreeSet<String>,
    mistakes: Vec<ConfigProblem>,
}

impl Attempt {
    /// Returns the result, with the mistakes of this attempt and of those before it.
    fn into_result(self, mistakes: Vec<ConfigProblem>) -> ReloadResult {
        let kept = self.kept.into_iter().filter_map(|part| Some((reason(&mistakes, &part)?.clone(), part)));
        let kept = kept.map(|(reason, part)| (part, reason)).collect();
        let LoadResult { settings, report, sources, origin } = self.loaded;
        ReloadResult { settings, report, sources, origin, mistakes, kept }
    }

    /// Reads the configuration with the earlier values of the parts in `kept`, and of each part whose files cannot be
    /// used.
    fn run(
        path: &Path,
        reader: &FileReader,
        earlier: &ConfigOrigin,
        mut kept: BTreeSet<String>,
        restart_reasons: &impl Fn(&Settings) -> Vec<ConfigProblem>,
    ) -> Attempt {
        let (mut mistakes, mut faulty) = (Vec::new(), BTreeSet::new());
        loop {
            let reader = reader.keeping(kept.clone());
            let loaded = read(path, &reader);
            let found =
                loaded.report.problems().iter().filter(|problem| problem.severity == Severity::Mistake).cloned();
            let found: Vec<_> = found.chain(loaded.settings.iter().flat_map(restart_reasons)).collect();
            let is_usable = found.is_empty();
            let can_keep = |part: &String| part != POLICY_PART && !kept.contains(part) && earlier.contains(part);
            let parts: Option<Vec<_>> = found.iter().map(|mistake| mistake.part.clone().filter(can_keep)).collect();
            mistakes.extend(found);
            match parts {
                Some(parts) if !is_usable => {
                    kept.extend(parts.iter().cloned());
                    faulty.extend(parts);
                }
                _ => {
                    let kept = faulty.into_iter().chain(reader.replaced_parts()).collect();
                    return Attempt { loaded, is_usable, kept, mistakes };
                }
            }
        }
    }
}
