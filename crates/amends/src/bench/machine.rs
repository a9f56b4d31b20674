//! What the kernel says of a process: the CPU time it took, the bytes it wrote, the memory it holds.
//!
//! All of it comes from `/proc`, so it is known on Linux only; elsewhere it is left out of the
//! report rather than guessed.

use std::fs;

/// The kernel's clock ticks in `/proc/<pid>/stat`: 100 a second on every Linux in use.
const TICK_MICROS: u64 = 10_000;

/// A process, by the name of its folder in `/proc`.
#[derive(Clone, Debug)]
pub struct Process(String);

impl Process {
    /// This one.
    pub fn own() -> Self {
        Self("self".to_owned())
    }

    /// One that this one started.
    pub fn child(pid: u32) -> Self {
        Self(pid.to_string())
    }

    /// User and system time so far, in microseconds.
    pub fn cpu_micros(&self) -> Option<u64> {
        let stat = self.read("stat")?;
        // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th
        // field after it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((user + system) * TICK_MICROS)
    }

    /// The bytes it has caused to be sent to the storage layer.
    pub fn written_bytes(&self) -> Option<u64> {
        self.field("io", "write_bytes:")
    }

    /// The memory it holds now.
    pub fn resident_bytes(&self) -> Option<u64> {
        Some(self.field("status", "VmRSS:")? * 1024)
    }

    /// The most memory it has ever held.
    pub fn resident_bytes_peak(&self) -> Option<u64> {
        Some(self.field("status", "VmHWM:")? * 1024)
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = self.read(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).ok()
    }
}

/// The machine in a few words: how many cores and how much memory. Nothing that names it.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib.div_ceil(1024 * 1024))
    });
    match memory {
        Some(gib) => format!("{cores} cores, {gib} GiB of memory"),
        None => format!("{cores} cores"),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_taken_time_and_holds_memory() {
        let own = Process::own();
        let before = own.cpu_micros().expect("a readable stat");
        let mut sum = 0_u64;
        while own.cpu_micros() == Some(before) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let resident = own.resident_bytes().expect("a readable status");
        // Linux counts a thread's pages in batches, and the peak only now and then: it may lag.
        let peak = own.resident_bytes_peak().expect("a readable status");
        assert!(resident > 100_000 && peak > resident / 2, "{resident}, at most {peak}");
        assert!(own.written_bytes().is_some());
    }

    #[test]
    fn a_process_that_is_gone_says_nothing() {
        let nobody = Process::child(u32::MAX);
        assert_eq!((nobody.cpu_micros(), nobody.resident_bytes()), (None, None));
    }
}
