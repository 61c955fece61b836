//! File capabilities as getcap(8) shows them (Linux, include/uapi/linux/capability.h, `vfs_cap_data`).

use super::le::u32_at;

/// The capabilities by number.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// `cap_net_raw=ep`: names with their sets, one word for each combination of sets. Nothing when the value is of another
/// form.
pub fn text(value: &[u8]) -> Option<String> {
    let magic = u32_at(value, 0);
    let words = match (magic >> 24, value.len()) {
        (1, 12) => 1,
        (2, 20) | (3, 24) => 2,
        _ => return None,
    };
    let set = |offset: usize| {
        (0..words).map(|word| u64::from(u32_at(value, offset + word * 8)) << (32 * word)).sum::<u64>()
    };
    let (effective, permitted, inheritable) = (magic & 1 == 1, set(4), set(8));
    let mut parts = Vec::new();
    for (sets, members) in
        [("ip", permitted & inheritable), ("p", permitted & !inheritable), ("i", inheritable & !permitted)]
    {
        if members != 0 {
            let names: Vec<String> = (0..64).filter(|bit| members >> bit & 1 == 1).map(name).collect();
            let effective = if effective && sets != "i" { "e" } else { "" };
            parts.push(format!("{}={effective}{sets}", names.join(",")));
        }
    }
    if words == 2 && value.len() == 24 {
        parts.push(format!("[rootid={}]", u32_at(value, 20)));
    }
    Some(if parts.is_empty() { "=".into() } else { parts.join(" ") })
}

fn name(bit: usize) -> String {
    NAMES.get(bit).map_or_else(|| bit.to_string(), |name| format!("cap_{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_their_names() {
        let net_raw = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(text(&net_raw).unwrap(), "cap_net_raw=ep");
        let mut more = net_raw;
        (more[0], more[4], more[8], more[12]) = (0, 1, 2, 0x80);
        assert_eq!(text(&more).unwrap(), "cap_chown,cap_net_raw,cap_bpf=p cap_dac_override=i");
        assert_eq!(text(&[0, 0, 0, 2]), None);
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap(), "=");
    }
}
