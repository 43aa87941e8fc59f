//! Failed authentications are limited, and nobody else is.

use reqwest::{Method, StatusCode};

use crate::{Server, on_both};

on_both!(who_shows_too_many_wrong_keys_is_told_to_wait_and_a_right_key_is_taken);

async fn who_shows_too_many_wrong_keys_is_told_to_wait_and_a_right_key_is_taken(server: Server) {
    let mut limited = None;
    for number in 0..200 {
        let key = format!("bwk_wrong{number}");
        let answer = server
            .send_as(&key, Method::GET, "/v1/environments", None)
            .await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            limited = Some((number, answer));
            break;
        }
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let (number, answer) = limited.expect("a limit");
    assert!(number >= 50, "limited after {number}");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.body["error"]["type"], "rate_limit_error");
    let none = server
        .send_as("", Method::GET, "/api/environments", None)
        .await;
    assert_eq!(none.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(none.text("code"), "too_many_failures");
    for _ in 0..100 {
        assert_eq!(server.get("/v1/environments").await.status, StatusCode::OK);
    }
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let later = server
        .send_as("bwk_wrong", Method::GET, "/v1/environments", None)
        .await;
    assert_eq!(later.status, StatusCode::UNAUTHORIZED);
}
