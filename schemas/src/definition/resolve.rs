//! From files to definitions, or to everything that is wrong with them.

use super::agreement::{agreement, check_supports, offering};
use super::calendar::calendar;
use super::catalogue::{customer, service};
use super::claims::check_claims;
use super::holidays::HolidayFiles;
use super::index::{Index, Kind, check_cycles};
use super::mapping::source;
use super::model::Definitions;
use super::problem::{Problem, Problems};
use super::versions::in_order;
use super::{composition, schema, yaml};

/// A file of definitions, read by the caller.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name, as problems are to show it.
    pub name: &'a str,
    /// Its text: YAML, with several documents if you like; or iCalendar, if its name ends in `.ics`.
    pub text: &'a str,
}

/// Parses, checks and resolves a whole folder.
///
/// # Errors
/// Every problem of every file, sorted by file and line; also when there is no definition at all.
pub fn load(files: &[File<'_>]) -> Result<Definitions, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut documents = Vec::new();
    let (holiday_files, yaml_files) = HolidayFiles::split(files);
    for file in yaml_files {
        documents.extend(yaml::parse(file, &mut problems));
    }
    if files.is_empty() || (documents.is_empty() && problems.is_empty()) {
        problems.add(Problem {
            file: String::new(),
            line: 1,
            field: String::new(),
            found: "no definitions".to_owned(),
            allowed:
                "at least one YAML file (.yaml or .yml) with a Service, Customer, Calendar, Offering, Agreement or \
                      Source"
                    .to_owned(),
        });
    }
    for document in &documents {
        schema::check(document, &mut problems);
    }
    let index = Index::collect(&documents, &mut problems);
    let mut definitions = read(&index, &holiday_files, &mut problems);
    definitions.texts = files.iter().map(|file| (file.name.to_owned(), file.text.to_owned())).collect();
    let problems = problems.into_sorted();
    if problems.is_empty() { Ok(definitions) } else { Err(problems) }
}

/// Reads every document, those with problems as far as they go.
fn read(index: &Index<'_>, holiday_files: &HolidayFiles<'_>, problems: &mut Problems) -> Definitions {
    let mut definitions = Definitions::default();
    for root in index.of(Kind::Customer) {
        let customer = customer(root);
        definitions.customers.insert(customer.id.clone(), customer);
    }
    let mut dependencies = Vec::new();
    for root in index.of(Kind::Service) {
        let service = service(root, index, &mut dependencies, problems);
        definitions.services.insert(service.id.clone(), service);
    }
    let mut parts = Vec::new();
    for root in index.of(Kind::Service) {
        parts.extend(composition::edges(root));
    }
    let circles =
        [check_cycles(&dependencies, "depends on", problems), check_cycles(&parts, "is composed of", problems)];
    if circles == [false, false] {
        dependencies.extend(parts);
        check_cycles(&dependencies, "needs", problems);
        composition::check_ways(&definitions.services, index.of(Kind::Service), problems);
    }
    let mut calendars = Vec::new();
    for root in index.of(Kind::Calendar) {
        let version = calendar(root, holiday_files, problems);
        calendars.extend(version.map(|version| (root.clone(), version)));
    }
    for version in in_order(calendars, problems) {
        definitions.calendars.entry(version.id.clone()).or_default().push(version);
    }
    for root in index.of(Kind::Offering) {
        let offering = offering(root, index, problems);
        definitions.offerings.insert(offering.id.clone(), offering);
    }
    let mut supports = Vec::new();
    let mut versions = Vec::new();
    for root in index.of(Kind::Agreement) {
        let version = agreement(root, index, &definitions, &mut supports, problems);
        versions.extend(version.map(|version| (root.clone(), version)));
    }
    check_cycles(&supports, "rests on", problems);
    definitions.agreements = in_order(versions, problems);
    check_supports(&definitions, index.of(Kind::Agreement), problems);
    for root in index.of(Kind::Source) {
        let source = source(root, problems);
        definitions.sources.insert(source.id.clone(), source);
    }
    check_claims(index, problems);
    definitions
}
