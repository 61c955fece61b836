//! Says when to build again: the built-in overlays and bases are data that the compiler does not see.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=overlays");
    println!("cargo:rerun-if-changed=recipes/base");
}
