//! The resource usage of the process, from `/proc` on Linux.

use std::fs;
use std::path::Path;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The resource usage of the process. If the system hides one value, for example in a container or with `ProcSubset=`
/// of systemd, the other values are still available.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessUsage {
    /// The processor time used, in seconds.
    pub cpu: Option<f64>,
    /// The resident memory, in bytes.
    pub resident: Option<u64>,
    /// The number of open files and connections.
    pub open_files: Option<u64>,
    /// The maximum number of open files and connections. `None`: no limit.
    pub open_files_limit: Option<u64>,
}

/// Returns the resource usage of this process.
pub fn usage() -> ProcessUsage {
    usage_of(Path::new("/proc/self"))
}

fn usage_of(process: &Path) -> ProcessUsage {
    let stat = fs::read_to_string(process.join("stat")).ok().and_then(|stat| parse_stat(&stat));
    ProcessUsage {
        cpu: stat.as_ref().map(|stat| seconds(stat.cpu_ticks)),
        resident: stat.and_then(|stat| stat.pages.checked_mul(u64::try_from(page_size()).ok()?)),
        open_files: open_files(&process.join("fd")),
        open_files_limit: getrlimit(Resource::Nofile).current,
    }
}

/// Counts the open files. The directory itself is open during the count, so it is subtracted.
fn open_files(directory: &Path) -> Option<u64> {
    u64::try_from(fs::read_dir(directory).ok()?.count()).ok()?.checked_sub(1)
}

struct ProcStat {
    cpu_ticks: u64,
    pages: u64,
}

/// Parses fields 14, 15 and 24 (proc_pid_stat(5)). Field 2 is the name of the program, which can contain any
/// characters.
fn parse_stat(stat: &str) -> Option<ProcStat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ProcStat { cpu_ticks: field(14)?.checked_add(field(15)?)?, pages: field(24)? })
}

#[expect(clippy::cast_precision_loss, reason = "that many ticks take longer than any machine lasts")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_programs_name_may_hold_anything() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 99 0 0 0 120 30 0 0 20 0 3 0 4242 9999999 512 18446744073709551615";
        let ProcStat { cpu_ticks, pages } = parse_stat(stat).unwrap();
        assert_eq!((cpu_ticks, pages), (150, 512));
        assert!(parse_stat("7 (cut) S 1 7").is_none() && parse_stat("").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let ProcessUsage {
            cpu: Some(_),
            resident: Some(resident),
            open_files: Some(open),
            open_files_limit: most_files,
        } = usage()
        else {
            panic!("{:?}", usage())
        };
        assert!(resident > 1 << 20 && open > 2, "{resident} {open}");
        assert!(most_files.is_none_or(|most| most >= open), "{most_files:?}");
    }

    #[test]
    fn each_figure_is_there_without_the_others() {
        let usage = usage_of(Path::new("/nowhere"));
        assert_eq!((usage.cpu, usage.resident, usage.open_files), (None, None, None));
        assert_eq!(usage.open_files_limit, getrlimit(Resource::Nofile).current);
    }
}
