//! Says when to build again: the built-in overlays and bases are data that the compiler does not see. And says whether
//! the host has the programs that some unit tests compare with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=overlays");
    println!("cargo:rerun-if-changed=recipes/base");
    println!("cargo:rerun-if-changed=qemu-tests");
    println!("cargo:rustc-check-cfg=cfg(host_e2fsprogs)");
    if ["/sbin/mke2fs", "/sbin/debugfs"].iter().all(|program| std::path::Path::new(program).exists()) {
        println!("cargo:rustc-cfg=host_e2fsprogs");
    }
}
