//! Replays the kept corpus of the fuzz targets.

#[path = "../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the programs of the fuzzer are another crate"
)]
mod fuzz;

use std::fs;
use std::path::Path;

#[test]
fn s11_4_the_kept_corpus_makes_no_parser_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in fuzz::TARGETS {
        let program = folder.join(format!("fuzz_targets/{name}.rs"));
        assert!(program.is_file(), "no program fuzzes {name}");
        let corpus = fs::read_dir(folder.join("corpus").join(name));
        let mut files: Vec<_> = corpus
            .unwrap_or_else(|error| panic!("the corpus of {name} cannot be read: {error}"))
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        for file in files {
            // The last one printed is the one that panicked.
            println!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
    let folders = fs::read_dir(folder.join("corpus")).unwrap().count();
    let programs = fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(
        (folders, programs),
        (fuzz::TARGETS.len(), fuzz::TARGETS.len())
    );
}
