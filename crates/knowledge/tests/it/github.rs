//! Issues of GitHub.

use bailiwick_knowledge::{
    DocumentKey, Extent, GitHubConnector, GitHubSource, PullRequests, SyncError,
};
use bailiwick_model::SecretText;
use bailiwick_testkit::{GitHubIssue, GitHubLimit, GitHubServer};
use jiff::Timestamp;

use crate::world::{Kept, World};

const NAME: &str = "api.github.test";
const TOKEN: &str = "ghp_a-secret";

struct GitHub {
    world: World,
    server: GitHubServer,
}

fn issue(title: &str, updated_at: &str) -> GitHubIssue {
    GitHubIssue {
        title: title.to_owned(),
        body: format!("about {title}"),
        updated_at: updated_at.to_owned(),
        ..GitHubIssue::default()
    }
}

impl GitHub {
    fn new() -> Self {
        let mut world = World::allowing(&[NAME]);
        let server = GitHubServer::start(world.authority(), NAME, Some(TOKEN));
        world.pin(NAME, server.address());
        for number in 1..=5 {
            let at = format!("2026-01-0{number}T00:00:00Z");
            server.put(number, issue(&format!("issue {number}"), &at));
        }
        Self { world, server }
    }

    fn source(&self, token: &str) -> GitHubSource {
        let port = self.server.address().port();
        GitHubSource {
            api: format!("https://{NAME}:{port}").parse().unwrap(),
            owner: "acme".to_owned(),
            repository: "app".to_owned(),
            token: Some(SecretText::new(token.to_owned())),
            pull_requests: PullRequests::LeftOut,
        }
    }

    fn at(&self, now: fn() -> Timestamp) -> GitHubConnector {
        GitHubConnector::new(self.world.access_at(now), self.source(TOKEN)).unwrap()
    }

    fn connector(&self) -> GitHubConnector {
        self.at(Timestamp::now)
    }

    fn lists(&self) -> usize {
        let targets = self.server.stand_in().targets();
        targets
            .iter()
            .filter(|target| target.contains("/issues?"))
            .count()
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn in_two_days() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + 2 * 24 * 60 * 60).unwrap()
}

#[tokio::test]
async fn issues_are_read_with_their_comments_page_by_page() {
    let github = GitHub::new();
    let comment = |number: u64| (format!("user{number}"), format!("comment {number}"));
    github.server.put(
        3,
        GitHubIssue {
            comments: (1..=5).map(comment).collect(),
            is_closed: true,
            ..issue("closed", "2026-01-03T00:00:00Z")
        },
    );
    github.server.put(
        6,
        GitHubIssue {
            is_pull: true,
            ..issue("a change", "2026-01-06T00:00:00Z")
        },
    );
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&github.connector()).await, [5, 0, 0, 0, 0]);
    assert_eq!(github.lists(), 3);
    let document = kept.document("issues/3");
    assert_eq!(document.title, "closed");
    insta::assert_snapshot!(document.text);
    let link = document.link.as_ref().unwrap();
    assert_eq!(link.as_str(), "https://github.test/acme/app/issues/3");
    assert_eq!(
        document.updated_at,
        Some("2026-01-03T00:00:00Z".parse().unwrap())
    );
}

#[tokio::test]
async fn changes_alone_are_listed_until_the_last_whole_listing_is_old() {
    let github = GitHub::new();
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&github.at(now)).await, [5, 0, 0, 0, 0]);
    github
        .server
        .put(2, issue("changed", "2026-02-01T00:00:00Z"));
    github.server.put(7, issue("new", "2026-02-02T00:00:00Z"));
    github.server.delete(1);
    github.server.transfer(4);
    github.server.stand_in().forget();
    // The newest of before is listed again; nothing tells what is gone.
    assert_eq!(kept.synced(&github.at(now)).await, [2, 1, 0, 0, 0]);
    assert!(github.server.stand_in().targets()[0].contains("since=2026-01-05"));
    assert_eq!(kept.document("issues/2").title, "changed");
    assert_eq!(kept.keys().len(), 6);
    // A whole listing does, and what it does not have is asked for.
    assert_eq!(kept.synced(&github.at(in_two_days)).await, [0, 4, 2, 0, 0]);
    let keys = ["issues/2", "issues/3", "issues/5", "issues/7"];
    assert_eq!(kept.keys(), keys);
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let github = GitHub::new();
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&github.connector()).await, [5, 0, 0, 0, 0]);
    // The list of changes is another one than that of everything, and has no tag yet.
    assert_eq!(kept.synced(&github.connector()).await, [0, 1, 0, 0, 0]);
    assert_eq!(kept.synced(&github.connector()).await, [0; 5]);
    assert_eq!(kept.synced(&github.connector()).await, [0; 5]);
    github.server.put(9, issue("new", "2026-03-01T00:00:00Z"));
    assert_eq!(kept.synced(&github.connector()).await, [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_limit_is_waited_for_if_it_is_short_and_ends_the_sync_if_it_is_long() {
    let github = GitHub::new();
    github.server.limit_next(1, GitHubLimit::Secondary(1));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&github.connector()).await, [5, 0, 0, 0, 0]);
    github.server.limit_next(1, GitHubLimit::Primary(0));
    assert_eq!(kept.synced(&github.connector()).await, [0, 1, 0, 0, 0]);
    github.server.limit_next(9, GitHubLimit::Primary(3000));
    github.server.stand_in().forget();
    let outcome = kept.sync(&github.connector()).await;
    let Err(SyncError::RateLimited { until, .. }) = outcome.listing else {
        panic!("{:?}", outcome.listing);
    };
    assert!(until > Timestamp::now());
    assert_eq!(github.server.stand_in().targets().len(), 1);
    assert_eq!(kept.keys().len(), 5);
}

#[tokio::test]
async fn a_server_that_is_down_for_a_moment_is_asked_again() {
    let github = GitHub::new();
    github.server.fail_next(502);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&github.connector()).await, [5, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_repository_that_is_not_to_be_seen_deletes_nothing() {
    let github = GitHub::new();
    let mut kept = Kept::default();
    kept.synced(&github.connector()).await;
    for (status, expected) in [
        (
            401,
            "api.github.test does not take the credential (status 401)",
        ),
        (
            404,
            "the repository acme/app is not there, or not to be seen with this credential",
        ),
        (
            403,
            "api.github.test answered with status 403 when it was asked for a list of issues",
        ),
    ] {
        github.server.fail_next(status);
        let outcome = kept.sync(&github.connector()).await;
        assert_eq!(outcome.listing.unwrap_err().to_string(), expected);
        assert_eq!(kept.keys().len(), 5);
    }
}

#[tokio::test]
async fn a_token_is_neither_shown_nor_sent_without_tls() {
    let github = GitHub::new();
    let source = github.source(TOKEN);
    assert!(!format!("{source:?} {:?}", github.connector()).contains(TOKEN));
    let open = GitHubSource {
        api: "http://api.github.test".parse().unwrap(),
        ..source
    };
    let refused = GitHubConnector::new(github.world.access(), open);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "a credential is sent over https alone"
    );
}

#[tokio::test]
async fn a_host_that_is_denied_is_named_with_the_reason() {
    let mut world = World::allowing(&["other.test"]);
    let server = GitHubServer::start(world.authority(), NAME, None);
    world.pin(NAME, server.address());
    let source = GitHubSource {
        api: format!("https://{NAME}:{}", server.address().port())
            .parse()
            .unwrap(),
        owner: "acme".to_owned(),
        repository: "app".to_owned(),
        token: None,
        pull_requests: PullRequests::Read,
    };
    let connector = GitHubConnector::new(world.access(), source).unwrap();
    let outcome = Kept::default().sync(&connector).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(
        error.starts_with("api.github.test is denied (no_rule) by the policy of environment docs"),
        "{error}"
    );
    assert_eq!(server.stand_in().connections(), 0);
    assert_eq!(world.flows.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_issue_that_fails_is_tried_again_next_time() {
    let github = GitHub::new();
    let mut kept = Kept::default();
    kept.synced(&github.connector()).await;
    github
        .server
        .put(2, issue("changed", "2026-02-01T00:00:00Z"));
    // The cursor does not go on: else nobody would list this change again.
    let before = kept.known.cursor.clone();
    struct Failing<'a>(&'a GitHubConnector);
    impl bailiwick_knowledge::Connector for Failing<'_> {
        fn list<'a>(
            &'a self,
            known: &'a bailiwick_knowledge::Known,
            finder: &'a bailiwick_knowledge::Finder,
        ) -> bailiwick_knowledge::BoxFuture<'a, Result<bailiwick_knowledge::Listing, SyncError>>
        {
            self.0.list(known, finder)
        }

        fn read<'a>(
            &'a self,
            _key: &'a DocumentKey,
            _known: Option<&'a bailiwick_knowledge::Revision>,
        ) -> bailiwick_knowledge::BoxFuture<
            'a,
            Result<bailiwick_knowledge::Reading, bailiwick_knowledge::ReadError>,
        > {
            Box::pin(async { Err(bailiwick_knowledge::DocumentError::Timeout.into()) })
        }
    }
    let outcome = kept.sync(&Failing(&github.connector())).await;
    assert_eq!(outcome.listing.unwrap(), Extent::Changes);
    assert_eq!(kept.known.cursor, before);
    assert_eq!(kept.synced(&github.connector()).await, [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_token_that_no_header_carries_asks_nobody_and_deletes_nothing() {
    let github = GitHub::new();
    let mut kept = Kept::default();
    kept.synced(&github.connector()).await;
    github.server.stand_in().forget();
    let source = github.source(&format!("{TOKEN}\n"));
    let connector = GitHubConnector::new(github.world.access(), source).unwrap();
    let outcome = kept.sync(&connector).await;
    let error = outcome.listing.unwrap_err();
    assert!(matches!(error, SyncError::Unauthorized { .. }), "{error}");
    assert!(github.server.stand_in().targets().is_empty());
    assert_eq!(kept.keys().len(), 5);
}

#[tokio::test]
async fn comments_that_are_more_than_a_document_may_be_are_not_asked_for() {
    let github = GitHub::new();
    let long = "x".repeat(5 << 20);
    let comments = (1..=8).map(|number| (format!("user{number}"), long.clone()));
    let issue = GitHubIssue {
        comments: comments.collect(),
        ..issue("long", "2026-01-03T00:00:00Z")
    };
    github.server.put(3, issue);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&github.connector()).await, [5, 0, 0, 0, 0]);
    let targets = github.server.stand_in().targets();
    let pages = targets
        .iter()
        .filter(|target| target.contains("/3/comments"));
    assert_eq!(pages.count(), 1);
    assert!(kept.document("issues/3").text.contains("## user1"));
}
