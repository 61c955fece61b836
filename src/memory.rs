//! How much of the host's memory is to be had.

/// MemAvailable of /proc/meminfo (proc_meminfo(5)), in bytes, bounded by the control group's limit.
pub fn available() -> u64 {
    let text = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = field.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let host = kib.unwrap_or(0) * 1024;
    let limit = |file: &str| fs_err::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    match (limit("/sys/fs/cgroup/memory.max"), limit("/sys/fs/cgroup/memory.current")) {
        (Some(max), Some(current)) => host.min(max.saturating_sub(current)),
        _ => host,
    }
}
