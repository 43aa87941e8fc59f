//! `config.packages`: from a draft to packages, each checked against the grammar of its manager.

use std::collections::HashMap;

use bailiwick_model::limits::PACKAGES;
use bailiwick_model::{PackageSpec, Packages, PackagesProblem};

use crate::draft::{Field, PackageDraft, PackagesDraft};
use crate::problem::{Cause, Problem};
use crate::tree::{Located, Span};
use crate::validate::only;

impl PackagesDraft {
    /// Whether it names a package, be it a valid one or not.
    pub(crate) fn names_any(&self) -> bool {
        self.entries().next().is_some()
    }

    fn entries(&self) -> impl Iterator<Item = &PackageDraft> {
        self.lists.iter().flat_map(|(_, list)| match list {
            Field::Set(list) => list.value.as_slice(),
            Field::Absent | Field::Null | Field::Refused => &[],
        })
    }
}

pub(crate) fn validate(draft: Located<PackagesDraft>, problems: &mut Vec<Problem>) -> Packages {
    let Located { value: draft, span } = draft;
    if let Field::Set(kind) = &draft.kind {
        only(kind, "type of packages", &["packages"], problems);
    }
    let mut packages = Packages::default();
    let count = draft.entries().count();
    if count > PACKAGES {
        problems.push(Problem::new(Cause::TooManyPackages(count), span));
        return packages;
    }
    let mut first_places = HashMap::new();
    for entry in draft.entries() {
        add(&mut packages, entry, &mut first_places, problems);
    }
    packages
}

/// Puts one entry to the packages, and its place to those of the specs that are there.
fn add(
    packages: &mut Packages,
    entry: &PackageDraft,
    first_places: &mut HashMap<PackageSpec, Span>,
    problems: &mut Vec<Problem>,
) {
    let (place, text) = (entry.place, entry.text.value.clone());
    let refused = |cause| Problem::new(cause, entry.text.span.clone());
    let spec = match PackageSpec::parse(place.manager, &text) {
        Ok(spec) => spec,
        Err(problem) => {
            problems.push(refused(Cause::Package {
                place,
                text,
                problem,
            }));
            return;
        }
    };
    match packages.add(spec.clone()) {
        Ok(()) => {
            first_places.insert(spec, entry.text.span.clone());
        }
        Err(PackagesProblem::Duplicate(spec)) => {
            let problem = refused(Cause::DuplicatePackage { place, text });
            problems.push(match first_places.get(&spec) {
                Some(first) => problem.with_first(first.clone()),
                None => problem,
            });
        }
        Err(PackagesProblem::TooMany) => {
            problems.push(refused(Cause::TooManyPackages(PACKAGES + 1)));
        }
    }
}
