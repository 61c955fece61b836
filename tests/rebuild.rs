//! A stranger verifies a published image: from the files that were handed out, and the signed archive.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Output;
use support::{Golden, copy_tree, flip, goldcast, golden, said, scratch};
use tempfile::TempDir;

/// What was handed out, without the recipe.
fn published(golden: &Golden) -> TempDir {
    let place = scratch("published");
    copy_tree(&golden.out, &place.path().join("out"));
    place
}

fn check(place: &Path, image: &str) -> Output {
    goldcast().current_dir(place).args(["rebuild", "--check", image]).output().unwrap()
}

/// Takes a file out of the links to the golden image before it is changed.
fn own(path: &Path) {
    let bytes = fs_err::read(path).unwrap();
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn an_image_is_what_its_plan_and_lock_give() {
    let golden = golden();
    let place = published(&golden);
    fs_err::remove_file(place.path().join("out/golden.raw.zst")).unwrap();
    let output = check(place.path(), "out/golden.qcow2");
    assert!(output.status.success(), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains("identical: golden.raw, "), "{told}");
    // The layers of the build itself would show nothing but that they were kept well.
    assert!(told.contains("unpacked and configured") && told.contains("made by update-initramfs"), "{told}");
    assert!(told.contains("not beside it: golden.raw.zst\n"), "{told}");
}

#[test]
fn a_byte_that_was_changed_is_found_and_placed() {
    let golden = golden();
    let place = published(&golden);
    let raw = place.path().join("out/golden.raw");
    own(&raw);
    let root =
        golden.manifest.partitions.iter().find(|part| part.filesystem.as_deref() == Some("ext4")).unwrap();
    // The filesystem's label.
    flip(&raw, root.start + 1024 + 0x78);
    let output = check(place.path(), "out");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains("golden.raw is not the file that its manifest names"), "{told}");
    assert!(told.contains("superblock"), "{told}");
}

#[test]
fn a_manifest_that_leaves_a_file_out_is_not_taken_for_the_whole() {
    let golden = golden();
    let place = published(&golden);
    let path = place.path().join("out/golden.manifest.json");
    own(&path);
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    manifest["artifacts"].as_array_mut().unwrap().retain(|artifact| artifact["file"] != "golden.raw");
    fs_err::write(&path, manifest.to_string()).unwrap();
    let output = check(place.path(), "out");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("golden.raw: the plan asks for it"), "{}", said(&output));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let golden = golden();
    let place = published(&golden);
    let at = |name: &str| place.path().join("out").join(name);
    own(&at("golden.plan.json"));
    let plan = fs_err::read_to_string(at("golden.plan.json")).unwrap();
    fs_err::write(
        at("golden.plan.json"),
        plan.replacen("\"hostname\": \"golden\"", "\"hostname\": \"silver\"", 1),
    )
    .unwrap();
    let output = check(place.path(), "out/golden.manifest.json");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("golden.plan.json does not belong to the image's manifest"),
        "{}",
        said(&output)
    );
    fs_err::remove_file(at("golden.plan.json")).unwrap();
    let output = check(place.path(), "out");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the plan of golden is not beside it"), "{}", said(&output));
    let output = check(place.path(), "nothing.raw");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}
