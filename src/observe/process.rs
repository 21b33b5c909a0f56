//! What the system says of the process, where it has `/proc`: on Linux.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// When it started, in seconds since 1970.
    pub started: f64,
    /// The processor time that it has used, in seconds.
    pub cpu: f64,
    /// The memory that it has, in bytes.
    pub resident: u64,
    /// How many files and connections it has open.
    pub open_files: u64,
    /// How many it may have; `None` is any number.
    pub most_files: Option<u64>,
}

/// What this process uses, as far as the system says.
pub fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let booted = boot_time(&fs::read_to_string("/proc/stat").ok()?)?;
    let Stat { cpu_ticks, start_ticks, pages } = parse(&stat)?;
    Some(Usage {
        started: booted + seconds(start_ticks),
        cpu: seconds(cpu_ticks),
        resident: pages * u64::try_from(page_size()).ok()?,
        // The directory itself is open while it is counted.
        open_files: u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?.saturating_sub(1),
        most_files: getrlimit(Resource::Nofile).current,
    })
}

struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
    pages: u64,
}

/// Reads fields 14, 15, 22 and 24 (proc_pid_stat(5)). The second is the program's name, which may hold anything.
fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)?, pages: field(24)? })
}

/// When the system started, in seconds since 1970.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "that many ticks take longer than any machine lasts")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_programs_name_may_hold_anything() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 99 0 0 0 120 30 0 0 20 0 3 0 4242 9999999 512 18446744073709551615";
        let Stat { cpu_ticks, start_ticks, pages } = parse(stat).unwrap();
        assert_eq!((cpu_ticks, start_ticks, pages), (150, 4242, 512));
        assert!(parse("7 (cut) S 1 7").is_none() && parse("").is_none());
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nctxt 3\n"), Some(1_700_000_000.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let usage = usage().unwrap();
        assert!(usage.started > 1e9 && usage.resident > 1 << 20 && usage.open_files > 2, "{usage:?}");
        assert!(usage.most_files.is_none_or(|most| most >= usage.open_files), "{usage:?}");
    }
}
