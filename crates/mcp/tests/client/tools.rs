//! Lists of tools.

use bailiwick_mcp::{McpError, Unfit};
use serde_json::json;

use super::{World, names};

#[tokio::test]
async fn servers_of_the_official_sdks_tell_their_tools() {
    for world in World::officials("") {
        let listing = world.client("mcp").tools(world.access("")).await.unwrap();
        let expect = [
            "add", "count", "picture", "fail", "report", "wait", "long", "whoami", "grow",
        ];
        assert_eq!(names(&listing), expect);
        assert_eq!(listing.left_out, []);
        let add = &listing.tools[0];
        assert_eq!(add.description.as_deref(), Some("Adds two numbers."));
        assert_eq!(add.input_schema["required"], json!(["a", "b"]));
    }
}

#[tokio::test]
async fn all_pages_are_one_list() {
    let world = World::lying();
    assert_eq!(names(&world.list("two-pages").await.unwrap()), ["a", "b"]);
    let expect = [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/list",
    ];
    assert_eq!(world.methods(), expect);
}

#[tokio::test]
async fn tools_that_no_model_can_be_offered_are_left_out_with_the_reason() {
    let world = World::lying();
    let listing = world.list("odd-tools").await.unwrap();
    assert_eq!(names(&listing), ["good"]);
    assert_eq!(listing.tools[0].description.as_deref(), Some("does it"));
    let left_out = listing.left_out.iter();
    let left_out: Vec<_> = left_out.map(|it| (it.name.as_str(), it.reason)).collect();
    let expect = [
        ("good", Unfit::Twice),
        ("a b", Unfit::Name),
        ("deep", Unfit::TooLarge),
        ("large", Unfit::TooLarge),
        ("away", Unfit::Reference),
        ("", Unfit::Name),
    ];
    assert_eq!(left_out, expect);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_told_apart_from_what_cannot_be_reached() {
    let world = World::lying();
    let client = world.client("private");
    let refused = client.tools(world.access("wrong-token")).await;
    assert!(
        matches!(refused, Err(McpError::Unauthorized)),
        "{refused:?}"
    );
    assert!(client.tools(world.access("good-token")).await.is_ok());
    let forbidden = world.list("forbidden").await;
    assert!(
        matches!(forbidden, Err(McpError::Forbidden)),
        "{forbidden:?}"
    );
    let unsendable = client.tools(world.access("a\r\nx-evil: 1")).await;
    assert!(matches!(unsendable, Err(McpError::Token)), "{unsendable:?}");
}

#[tokio::test]
async fn a_revision_that_nobody_knows_is_not_spoken() {
    let world = World::lying();
    for path in ["strange", "long-session"] {
        let listed = world.list(path).await;
        assert!(matches!(listed, Err(McpError::Malformed(_))), "{listed:?}");
    }
}
