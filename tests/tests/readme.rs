//! The programs in the README are those that are built and run.

use std::fs;
use std::path::Path;

#[test]
fn every_program_in_the_readme_is_part_of_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let examples = ["runtime-tokio/examples/echo_bot.rs", "core/examples/blocking.rs"].map(read);
    let readme = read("README.md");
    let programs: Vec<&str> = readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(programs.len(), 2);
    for program in programs {
        assert!(examples.iter().any(|example| example.contains(program)), "not in an example:\n{program}");
    }
}
