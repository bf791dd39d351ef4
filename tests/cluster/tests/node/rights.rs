//! Without root there is no node, and no test that says nothing about it.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

#[test]
fn a_start_without_root_fails_and_says_why() {
    // Where it was built, another user may not be let in.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("cluster");
    fs::copy(env!("CARGO_BIN_EXE_cluster"), &program).unwrap();

    let output = Command::new(&program)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("a node needs root"), "{words}");
}

const NOBODY: u32 = 65_534;
