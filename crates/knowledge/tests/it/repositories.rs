//! Files of a git repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_knowledge::{
    BoxFuture, CheckedOut, Checkout, CheckoutError, Forge, GitConnector, Globs,
};
use bailiwick_model::Reason;
use bailiwick_testkit::GitRepository;

use crate::world::Kept;

/// A work tree as it is: what a checkout is, without a clone.
struct WorkTree {
    repository: GitRepository,
    has_blobs: bool,
}

impl Checkout for WorkTree {
    fn check_out(&self) -> BoxFuture<'_, Result<CheckedOut, CheckoutError>> {
        let list = || {
            self.repository
                .git(["ls-tree", "-r", "--format=%(objectname) %(path)", "HEAD"])
        };
        let blobs = |list: String| -> BTreeMap<String, String> {
            let lines = list.lines().filter_map(|line| line.split_once(' '));
            lines
                .map(|(blob, path)| (path.to_owned(), blob.to_owned()))
                .collect()
        };
        let checked_out = CheckedOut {
            commit: self.repository.git(["rev-parse", "HEAD"]),
            committed_at: None,
            directory: self.repository.path(),
            blobs: self.has_blobs.then(|| blobs(list())),
            held: Box::new(()),
        };
        Box::pin(async move { Ok(checked_out) })
    }
}

struct Denied;

impl Checkout for Denied {
    fn check_out(&self) -> BoxFuture<'_, Result<CheckedOut, CheckoutError>> {
        let host = "git.test".to_owned();
        let reason = Reason::NoRule;
        Box::pin(async move { Err(CheckoutError::Denied { host, reason }) })
    }
}

fn connector(checkout: &Arc<WorkTree>, taken: &str) -> GitConnector {
    let forge = Forge::of("https://github.com/acme/app.git");
    let checkout = Arc::clone(checkout) as Arc<dyn Checkout>;
    GitConnector::new(checkout, Globs::new(&[taken], &[]).unwrap(), forge)
}

async fn changes_are_seen_by_contents(has_blobs: bool) {
    let repository = GitRepository::new("app");
    repository
        .write("README.md", "# App\n")
        .write("docs/a.md", "one")
        .write("x.bin", b"\0");
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("link.md")).unwrap();
    let commit = repository.commit("one");
    let tree = Arc::new(WorkTree {
        repository,
        has_blobs,
    });
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&connector(&tree, "**")).await, [2, 0, 0, 2, 0]);
    let link = kept.document("docs/a.md").link.clone().unwrap();
    let expected = format!("https://github.com/acme/app/blob/{commit}/docs/a.md");
    assert_eq!(link.as_str(), expected);
    assert_eq!(kept.document("README.md").title, "App");

    // The same commit is not looked at again, unless something else is to be taken of it.
    assert_eq!(kept.synced(&connector(&tree, "**")).await, [0; 5]);
    assert_eq!(
        kept.synced(&connector(&tree, "**/*.md")).await,
        [0, 2, 0, 1, 0]
    );

    tree.repository.git(["rm", "--quiet", "README.md"]);
    tree.repository
        .write("docs/a.md", "two")
        .write("docs/b.md", "one");
    tree.repository.commit("two");
    assert_eq!(
        kept.synced(&connector(&tree, "**/*.md")).await,
        [2, 0, 1, 1, 0]
    );
    assert_eq!(kept.keys(), ["docs/a.md", "docs/b.md"]);
}

#[tokio::test]
async fn changes_are_seen_by_the_ids_of_contents() {
    changes_are_seen_by_contents(true).await;
}

#[tokio::test]
async fn changes_are_seen_without_ids_too() {
    changes_are_seen_by_contents(false).await;
}

#[tokio::test]
async fn a_host_that_is_denied_is_named() {
    let connector = GitConnector::new(Arc::new(Denied), Globs::everything(), None);
    let outcome = Kept::default().sync(&connector).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(
        error,
        "the repository cannot be fetched: git.test is denied (no_rule)"
    );
}
