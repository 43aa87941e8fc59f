//! `config.project`: from a draft to a project, each text checked against its grammar.

use std::str::FromStr;

use bailiwick_model::limits::PROJECT_SETUP_COMMANDS;
use bailiwick_model::{Project, ProjectName, SetupCommand};

use crate::draft::{Field, ProjectDraft};
use crate::problem::{Cause, Problem, ProjectFieldProblem};
use crate::tree::{Located, Span};

/// The project, if all of it is valid.
pub(crate) fn validate(
    draft: Located<ProjectDraft>,
    problems: &mut Vec<Problem>,
) -> Option<Project> {
    let Located { value: draft, span } = draft;
    if draft.repository.is_missing() {
        let cause = Cause::MissingField {
            place: "`config.project`",
            field: "repository",
            example: "repository: https://HOST/PATH",
        };
        problems.push(Problem::new(cause, span.start..span.start));
    }
    let place = place_of(&draft.repository);
    let repository = parse(draft.repository, "repository", problems);
    let git_ref = parse(draft.git_ref, "ref", problems);
    let is_named = !draft.name.is_missing();
    let name: Option<ProjectName> = parse(draft.name, "name", problems);
    let setup = setup(draft.setup, problems);
    let repository = repository?;
    let name = match name {
        Some(name) => name,
        None if is_named => return None,
        None => ProjectName::of(&repository)
            .map_err(|problem| refuse("name".to_owned(), problem, place, problems))
            .ok()?,
    };
    Some(Project {
        repository,
        git_ref,
        name,
        setup,
    })
}

fn setup(
    field: Field<Vec<(usize, Located<String>)>>,
    problems: &mut Vec<Problem>,
) -> Vec<SetupCommand> {
    let Some(Located { value: list, span }) = field.set() else {
        return Vec::new();
    };
    if list.len() > PROJECT_SETUP_COMMANDS {
        problems.push(Problem::new(Cause::TooManyCommands(list.len()), span));
        return Vec::new();
    }
    let command = |(index, text): (usize, Located<String>)| {
        let refused = |problem| {
            refuse(
                format!("setup[{index}]"),
                problem,
                text.span.clone(),
                problems,
            );
        };
        text.value.parse::<SetupCommand>().map_err(refused).ok()
    };
    list.into_iter().filter_map(command).collect()
}

fn parse<T>(field: Field<String>, name: &str, problems: &mut Vec<Problem>) -> Option<T>
where
    T: FromStr,
    T::Err: Into<ProjectFieldProblem>,
{
    let Located { value, span } = field.set()?;
    value
        .parse()
        .map_err(|problem| refuse(name.to_owned(), problem, span, problems))
        .ok()
}

fn refuse(
    field: String,
    problem: impl Into<ProjectFieldProblem>,
    span: Span,
    problems: &mut Vec<Problem>,
) {
    let problem = problem.into();
    problems.push(Problem::new(Cause::Project { field, problem }, span));
}

fn place_of(field: &Field<String>) -> Span {
    match field {
        Field::Set(text) => text.span.clone(),
        Field::Absent | Field::Null | Field::Refused => 0..0,
    }
}
