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

/// Each offer with the candidates of its author, and each answer after offers of ours, to a polite and an impolite connection.
#[test]
fn descriptions_of_other_implementations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/descriptions");
    let mut seen = 0;
    for file in files_in(&folder).into_iter().filter(|file| file.extension().is_some_and(|end| end == "sdp")) {
        println!("{}", file.display());
        let sdp = fs::read_to_string(&file).expect("a description");
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        let steps = match name.strip_suffix("-offer") {
            Some(author) => {
                let candidates = fs::read_to_string(folder.join(format!("{author}.candidates"))).unwrap_or_default();
                let candidates: Vec<String> = candidates.lines().map(|line| format!("\x1ec{line}")).collect();
                format!("o{sdp}{}\x1ee", candidates.concat())
            }
            None => format!("t\x1et\x1ed\x1ea{sdp}"),
        };
        crate::targets::signals(steps.as_bytes());
        crate::targets::signals(format!("{steps}\x1e").as_bytes());
        seen += 1;
    }
    assert!(seen > 0, "no descriptions");
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
