//! Every target over its seeds. `METERED_CORPUS` names a folder with more inputs, in a folder for each target.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::targets::{ALL, Target};

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}

fn replay(name: &str, target: Target) {
    let seeds = files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name));
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let corpus = env::var_os("METERED_CORPUS").map(|folder| files_in(&Path::new(&folder).join(name)));
    for seed in seeds.into_iter().chain(corpus.unwrap_or_default()) {
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
