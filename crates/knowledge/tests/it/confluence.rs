//! Pages of Confluence.

use bailiwick_knowledge::{ConfluenceAccess, ConfluenceConnector, ConfluenceSource, Kind, Spaces};
use bailiwick_model::SecretText;
use bailiwick_testkit::{ConfluencePage, ConfluenceServer};

use crate::world::{Kept, World};

const NAME: &str = "wiki.test";
/// `me@wiki.test:a-secret`.
const BASIC: &str = "Basic bWVAd2lraS50ZXN0OmEtc2VjcmV0";

struct Wiki {
    world: World,
    server: ConfluenceServer,
}

fn page(space: &str, title: &str, version: u64) -> ConfluencePage {
    ConfluencePage {
        space: space.to_owned(),
        title: title.to_owned(),
        body: format!(
            "<h1>{title}</h1><p>Version {version} &mdash; <ac:link><ri:page ri:content-title=\"Other\"/></ac:link></p>"
        ),
        version,
        is_trashed: false,
    }
}

impl Wiki {
    fn new() -> Self {
        let mut world = World::allowing(&[NAME]);
        let server = ConfluenceServer::start(world.authority(), NAME, Some(BASIC));
        world.pin(NAME, server.address());
        for id in 1..=5 {
            server.put(id, page("100", &format!("page {id}"), 1));
        }
        server.put(6, page("200", "of a team", 1));
        Self { world, server }
    }

    fn connector(&self, spaces: Spaces) -> ConfluenceConnector {
        let port = self.server.address().port();
        let source = ConfluenceSource {
            site: format!("https://{NAME}:{port}/wiki").parse().unwrap(),
            access: ConfluenceAccess::Token {
                email: "me@wiki.test".to_owned(),
                token: SecretText::new("a-secret".to_owned()),
            },
            spaces,
        };
        ConfluenceConnector::new(self.world.access(), source).unwrap()
    }

    fn docs(&self) -> ConfluenceConnector {
        self.connector(Spaces::Only(vec!["DOCS".to_owned()]))
    }
}

#[tokio::test]
async fn pages_are_read_when_their_version_is_another_and_forgotten_when_they_are_deleted() {
    let wiki = Wiki::new();
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&wiki.docs()).await, [5, 0, 0, 0, 0]);
    let document = kept.document("pages/1");
    assert_eq!(
        (document.title.as_str(), document.kind),
        ("page 1", Kind::Html)
    );
    assert_eq!(document.text, "# page 1\n\nVersion 1 — Other");
    let link = document.link.as_ref().unwrap().as_str();
    assert!(link.ends_with("/wiki/spaces/X/pages/1"), "{link}");
    assert!(document.updated_at.is_some());

    wiki.server.put(2, page("100", "changed", 2));
    wiki.server.purge(3);
    let trashed = ConfluencePage {
        is_trashed: true,
        ..page("100", "page 4", 1)
    };
    wiki.server.put(4, trashed);
    wiki.server.put(5, page("200", "moved", 1));
    wiki.server.stand_in().forget();
    assert_eq!(kept.synced(&wiki.docs()).await, [1, 1, 3, 0, 0]);
    assert_eq!(kept.keys(), ["pages/1", "pages/2"]);
    let bodies = wiki.server.stand_in().targets();
    let bodies = bodies
        .iter()
        .filter(|target| target.contains("body-format"));
    assert_eq!(
        bodies.count(),
        4,
        "one that changed, three that may be gone"
    );
    assert_eq!(
        kept.synced(&wiki.connector(Spaces::All)).await,
        [2, 2, 0, 0, 0]
    );
}

#[tokio::test]
async fn a_space_that_is_not_to_be_seen_deletes_nothing() {
    let wiki = Wiki::new();
    let mut kept = Kept::default();
    kept.synced(&wiki.docs()).await;
    let both = Spaces::Only(vec!["DOCS".to_owned(), "NONE".to_owned()]);
    let outcome = kept.sync(&wiki.connector(both)).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(
        error,
        "the space NONE is not there, or not to be seen with this credential"
    );
    for status in [401, 403, 404] {
        wiki.server.fail_next(status);
        assert!(kept.sync(&wiki.docs()).await.listing.is_err());
    }
    assert_eq!(kept.keys().len(), 5);
}

#[tokio::test]
async fn a_list_that_goes_on_elsewhere_is_not_followed() {
    let wiki = Wiki::new();
    wiki.server
        .lie_about_next("https://evil.test/wiki/api/v2/pages?cursor=1");
    let outcome = Kept::default().sync(&wiki.docs()).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(error.contains("on another host"), "{error}");
    let flows = wiki.world.flows.lock().unwrap();
    assert!(
        flows
            .iter()
            .all(|flow| flow.destination.host.to_string() == NAME)
    );
}

#[tokio::test]
async fn a_credential_is_not_shown() {
    let wiki = Wiki::new();
    let shown = format!("{:?}", wiki.docs());
    assert!(
        !shown.contains("a-secret") && !shown.contains("bWVAd2"),
        "{shown}"
    );
}
