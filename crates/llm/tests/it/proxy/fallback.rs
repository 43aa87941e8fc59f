//! Which upstream is asked when one cannot.

use bailiwick_llm::proxy::SettledAs;
use bailiwick_testkit::{FreePort, ModelAnswer, ModelFailure, ModelScript, ModelServer, ModelStep};

use super::{MESSAGES, anthropic_route, ask, messages_body, raw, route_to};
use crate::front::Front;
use crate::{KEY, serve};

fn failing(status: u16, retry_after: Option<&str>) -> ModelServer {
    let failure = ModelFailure {
        retry_after: retry_after.map(str::to_owned),
        ..ModelFailure::of(status)
    };
    serve([ModelStep::answer(ModelAnswer::Failure(failure)).always()])
}

#[tokio::test]
async fn an_upstream_that_cannot_now_is_passed_over_for_the_next() {
    for status in [408, 429, 500, 503, 529] {
        let (busy, other) = (failing(status, None), serve([ModelStep::text("Here.")]));
        let routes = vec![anthropic_route(&busy), anthropic_route(&other)];
        let front = Front::start(routes).await;
        let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("Here."));
        let settlement = front.settled(1)[0];
        assert_eq!(settlement.kind, SettledAs::Told);
        assert_eq!(
            (settlement.upstream_index, settlement.attempts),
            (Some(1), 2)
        );
    }
}

#[tokio::test]
async fn nobody_there_is_passed_over_and_told_if_there_is_nobody_else() {
    let nobody = FreePort::find();
    let other = serve([ModelStep::text("Here.")]);
    let routes = vec![route_to(nobody.address()), anthropic_route(&other)];
    let front = Front::start(routes).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let front = Front::start(vec![route_to(nobody.address())]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains(r#""type":"error""#),
        "{}",
        answer.text()
    );
    let settlement = front.settled(1)[0];
    assert_eq!(
        (settlement.kind, settlement.status),
        (SettledAs::Nothing, None)
    );

    let front = Front::start(Vec::new()).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(front.settled(1)[0].upstream_index, None);
}

#[tokio::test]
async fn all_are_asked_once_more_after_a_wait_and_the_last_answer_passes() {
    let server = failing(529, Some("0"));
    let front = Front::start(vec![anthropic_route(&server)]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 529);
    assert!(answer.text().contains("overloaded_error"));
    assert_eq!(answer.header("retry-after"), Some("0"));
    assert_eq!(server.requests().len(), 2);
    let settlement = front.settled(1)[0];
    assert_eq!(
        (settlement.kind, settlement.status, settlement.attempts),
        (SettledAs::Nothing, Some(529), 2)
    );

    let twice = serve([ModelStep::failure(500), ModelStep::text("Then.")]);
    let front = Front::start(vec![anthropic_route(&twice)]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert!(answer.text().contains("Then."));
}

#[tokio::test]
async fn an_upstream_that_wants_to_be_left_alone_for_long_is() {
    let server = failing(429, Some("60"));
    let front = Front::start(vec![anthropic_route(&server)]).await;
    let began = std::time::Instant::now();
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(server.requests().len(), 1);
    assert!(began.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn what_may_have_been_worked_on_is_not_asked_of_another() {
    let breaks = route_to(raw(vec![Vec::new()]));
    let other = serve([ModelStep::text("Here.")]);
    let front = Front::start(vec![breaks, anthropic_route(&other)]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(other.requests().len(), 0);
    assert_eq!(front.settled(1)[0].kind, SettledAs::Unknown);
}

#[tokio::test]
async fn a_policy_that_denies_every_upstream_is_told_as_that() {
    let server = ModelServer::start(ModelScript::of([ModelStep::text("a")]));
    let client = crate::client_with(
        crate::connections::way(&["other.test"]),
        &[],
        crate::TIMEOUTS,
    );
    let upstream = crate::upstream(&server);
    let route = bailiwick_llm::proxy::Route {
        target: bailiwick_llm::proxy::Target::new(&client, &upstream),
        model: None,
    };
    let front = Front::start(vec![route]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains("upstream_denied"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(server.connections(), 0);
    assert!(!answer.text().contains(KEY));
}
