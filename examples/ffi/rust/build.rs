//! Links libhome.a from $HOME_LIBRARY_DIR, by default from build/ at the top of this tree.

use std::{env, path::PathBuf};

fn main() {
    let folder = env::var_os("HOME_LIBRARY_DIR").map_or_else(
        || PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../../build"),
        PathBuf::from,
    );
    println!("cargo:rerun-if-env-changed=HOME_LIBRARY_DIR");
    println!(
        "cargo:rerun-if-changed={}",
        folder.join("libhome.a").display()
    );
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=home");
    println!("cargo:rustc-link-lib=m");
    println!("cargo:rustc-link-lib=pthread");
}
