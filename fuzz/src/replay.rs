//! Every target over its seeds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::targets::{ALL, Target};

fn seeds_of(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    seeds.sort();
    seeds
}

fn replay(name: &str, target: Target) {
    let seeds = seeds_of(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in seeds {
        // Shown where the target panics.
        println!("{}", seed.display());
        target(&fs::read(&seed).expect("a readable file"));
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), crate::targets::$name);
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

replays! {
    builders client_frame datagrams hub ice_servers links options peer_message room server_frame server_lines signalling
    signals token
}
