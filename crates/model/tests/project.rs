//! The grammar of projects: what a repository, a ref, a name and a command may be, so that git reads nothing else in it.

use bailiwick_model::{GitRef, Project, ProjectName, Repository, SetupCommand, Transport, limits};
use proptest::prelude::*;

fn repository(text: &str) -> Repository {
    text.parse()
        .unwrap_or_else(|problem| panic!("{text} {problem}"))
}

fn refused(text: &str) -> String {
    text.parse::<Repository>()
        .map(|_| panic!("{text} was taken"))
        .unwrap_or_else(|problem| problem.to_string())
}

#[test]
fn a_repository_is_reached_by_https_ssh_or_as_a_file() {
    let https = |host: &str, port| Transport::Https {
        host: host.into(),
        port,
    };
    let ssh = |host: &str, port| Transport::Ssh {
        host: host.into(),
        port,
    };
    for (text, transport, path) in [
        (
            "https://github.com/a/b.git",
            https("github.com", 443),
            "/a/b.git",
        ),
        (
            "https://me@Git.Example.com:8443/a",
            https("git.example.com", 8443),
            "/a",
        ),
        (
            "https://dev.example.com/My%20Project/_git/app",
            https("dev.example.com", 443),
            "/My%20Project/_git/app",
        ),
        ("https://10.0.0.7/a", https("10.0.0.7", 443), "/a"),
        ("https://[fd12::1]:444/a", https("fd12::1", 444), "/a"),
        ("ssh://git@example.com/~/a", ssh("example.com", 22), "/~/a"),
        (
            "ssh://git@example.com:2222/a/b",
            ssh("example.com", 2222),
            "/a/b",
        ),
        ("git@github.com:a/b.git", ssh("github.com", 22), "a/b.git"),
        ("git@example.com:/srv/a", ssh("example.com", 22), "/srv/a"),
        (
            "file:///srv/git/app.git",
            Transport::File,
            "/srv/git/app.git",
        ),
    ] {
        let taken = repository(text);
        assert_eq!(taken.transport(), &transport, "{text}");
        assert_eq!(taken.path(), path, "{text}");
        assert_eq!(taken.to_string(), text);
    }
}

#[test]
fn what_git_could_take_for_something_else_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "is empty"),
        ("--upload-pack=x", "begins with `-`"),
        ("ext::sh", "helper"),
        ("ext::https://example.com/a", "helper"),
        ("http://example.com/a", "scheme"),
        ("git://example.com/a", "scheme"),
        ("ext+x://example.com/a", "scheme"),
        ("HTTPS://example.com/a", "scheme"),
        ("/srv/app", "is none of"),
        ("./app", "is none of"),
        ("example.com:app", "is none of"),
        ("file://host/app", "is none of"),
        ("file:///", "has the path"),
        ("https://example.com", "is none of"),
        ("https://example.com/", "has the path"),
        ("https://u:p@example.com/a", "password"),
        ("https://-x@example.com/a", "has the user"),
        ("https://@example.com/a", "has the user"),
        ("ssh://-oProxyCommand=x/a", "has the host"),
        ("ssh://git@-oProxyCommand=x/a", "has the host"),
        ("git@-oProxyCommand=x:a", "has the host"),
        ("https://a..b/a", "has the host"),
        ("https://example.com:0/a", "has the port"),
        ("https://example.com:+1/a", "has the port"),
        ("https://example.com:65536/a", "has the port"),
        ("https://[::1/a", "has the host"),
        ("git@example.com:-x", "has the path"),
        ("git@example.com:a/../b", "has the path"),
        ("git@example.com:~root/b", "holds '~'"),
        ("https://example.com/a/./b", "has the path"),
        ("https://example.com/a%0ab", "has the path"),
        ("https://example.com/%2e%2E/b", "has the path"),
        ("https://example.com/%+1", "has the path"),
        ("https://example.com/%", "has the path"),
        ("ssh://example.com/%41", "holds '%'"),
        ("https://example.com/a?x", "holds '?'"),
        ("https://example.com/a#x", "holds '#'"),
        ("https://example.com/a b", "holds ' '"),
        ("https://example.com/a\n", "holds '\\n'"),
        ("https://example.com/$(x)", "holds '$'"),
        ("https://exämple.com/a", "holds 'ä'"),
    ] {
        let said = refused(text);
        let good = said.contains(reason) || (text.contains('~') && said.contains("has the path"));
        assert!(good, "{text}: {said}");
    }
    let long = format!(
        "https://example.com/{}",
        "a".repeat(limits::PROJECT_REPOSITORY_BYTES)
    );
    assert!(refused(&long).contains("more than"));
}

#[test]
fn a_project_is_a_repository_with_a_ref_and_has_its_name() {
    for (text, git_ref, name) in [
        ("https://github.com/a/b.git", None, "b"),
        ("https://github.com/a/b.git/#main", Some("main"), "b"),
        ("git@github.com:b#feature/x", Some("feature/x"), "b"),
        ("file:///home/me/app/.git#v1.0", Some("v1.0"), "app"),
    ] {
        let project: Project = text.parse().unwrap();
        assert_eq!(
            project.git_ref.as_ref().map(GitRef::as_str),
            git_ref,
            "{text}"
        );
        assert_eq!(project.name.as_str(), name, "{text}");
    }
    for (text, reason) in [
        (
            "https://github.com/a/.hidden",
            "the name would be \".hidden\"",
        ),
        ("https://github.com/a/b#", "the ref is empty"),
        ("https://github.com/a/b#x#y", ""),
        ("https://github.com/a/%41", "the name would be"),
    ] {
        let problem = text
            .parse::<Project>()
            .map(|_| ())
            .map_err(|p| p.to_string());
        assert!(
            reason.is_empty() || problem.clone().is_err_and(|said| said.contains(reason)),
            "{text}: {problem:?}"
        );
    }
}

#[test]
fn refs_are_those_of_git_and_no_options() {
    for text in [
        "main",
        "v1.0",
        "feature/a-b_c",
        "refs/heads/x",
        "größe",
        "a@b",
        "0123456789012345678901234567890123456789",
    ] {
        text.parse::<GitRef>()
            .unwrap_or_else(|problem| panic!("{text} {problem}"));
    }
    for text in [
        "",
        "-x",
        "--all",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "@",
        "@{u}",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.",
        "a.lock",
        "a.lock/b",
        "a\u{7f}",
        "a\u{202e}b",
    ] {
        assert!(text.parse::<GitRef>().is_err(), "{text:?} was taken");
    }
    let is_commit = |text: &str| text.parse::<GitRef>().unwrap().is_commit();
    assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0f".repeat(32)));
    assert!(!is_commit("a1b2c3") && !is_commit(&"g1".repeat(20)));
}

#[test]
fn a_name_is_a_plain_directory_and_a_command_has_no_control_characters() {
    for text in ["app", "a.b", "_x", "A-1"] {
        text.parse::<ProjectName>().unwrap();
    }
    for text in [
        "",
        ".",
        "..",
        ".git",
        "-x",
        "a/b",
        "a b",
        "a:b",
        "ä",
        &"a".repeat(65),
    ] {
        assert!(text.parse::<ProjectName>().is_err(), "{text:?} was taken");
    }
    for text in ["npm ci", "a &&\n\tb", "echo \"$HOME\" > ü"] {
        text.parse::<SetupCommand>().unwrap();
    }
    for text in ["", " \n", "a\0b", "a\u{1b}[2J", &"a".repeat(4097)] {
        assert!(text.parse::<SetupCommand>().is_err(), "{text:?} was taken");
    }
}

proptest! {
    #[test]
    fn no_repository_is_an_option_a_helper_or_a_path_upwards(text in "(https://|ssh://|file://|git@|ext::)?[-a-z0-9.@:/%#~ ]{0,30}") {
        if let Ok(taken) = text.parse::<Repository>() {
            prop_assert!(!text.starts_with('-') && !text.contains("::/"));
            prop_assert!(text.split('/').all(|part| part != ".."));
            let host = match taken.transport() {
                Transport::Https { host, .. } | Transport::Ssh { host, .. } => host,
                Transport::File => return Ok(()),
            };
            prop_assert!(!host.is_empty() && !host.starts_with('-'));
        }
    }
}
