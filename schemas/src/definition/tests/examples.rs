//! The example folder of the documentation loads.

use std::fs;
use std::path::{Path, PathBuf};

use super::listed;
use crate::definition::source::Format;
use crate::definition::{Definitions, File, load};

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

fn examples() -> Definitions {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/definitions");
    let mut paths = Vec::new();
    yaml_files(&folder, &mut paths);
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(path).expect("readable file")))
        .collect();
    let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
    load(&files).unwrap_or_else(|problems| panic!("{}", listed(&problems).join("\n")))
}

#[test]
fn the_documented_examples_have_no_problem() {
    let definitions = examples();
    let counts = [
        definitions.services.len(),
        definitions.customers.len(),
        definitions.calendars.len(),
        definitions.offerings.len(),
        definitions.agreements.len(),
        definitions.sources.len(),
    ];
    assert_eq!(counts, [4, 2, 3, 3, 6, 4]);
    let versions: Vec<_> = definitions.agreements.iter().filter(|a| a.id == "acme-web-gold").collect();
    assert_eq!(versions[0].effective_until, Some(versions[1].effective_from));
    assert_eq!(versions.iter().map(|version| version.objectives.len()).collect::<Vec<_>>(), [5, 7]);
    assert_eq!(definitions.source_of_file("incident_event_log.csv.gz").map(|source| source.format), Some(Format::Csv));
    assert_eq!(definitions.source_of_topic("monitoring.results").map(|source| source.id.as_str()), Some("probes"));
}
