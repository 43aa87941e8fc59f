//! Flows of sessions.

use bailiwick_model::{EnvironmentId, SessionId, Verdict};
use bailiwick_store::{FlowFilter, NewFlow};

use crate::{Place, fresh, now, on_both};

on_both!(
    flows_that_are_written_again_are_there_once,
    flows_are_found_by_all_that_is_asked_for,
);

fn flow(verdict: Verdict) -> NewFlow {
    NewFlow {
        id: fresh(),
        verdict,
        flow: "{}".to_owned(),
    }
}

impl Place {
    async fn flows(&self, filter: &FlowFilter) -> Vec<i64> {
        let scope = self.store.scope(&self.organization);
        let found = scope.flows(0, 100, filter).await.unwrap();
        found.iter().map(|flow| flow.sequence).collect()
    }

    async fn keep(&self, whose: (&SessionId, &EnvironmentId), flows: &[NewFlow]) {
        let keeping =
            self.store
                .keep_flows(&self.organization, (Some(whose.0), whose.1), now(), flows);
        keeping.await.unwrap();
    }
}

/// As when the answer to a commit was lost.
async fn flows_that_are_written_again_are_there_once(place: Place) {
    let whose = (&fresh(), &fresh());
    let some = [flow(Verdict::Allow), flow(Verdict::Deny)];
    for _ in 0..3 {
        place.keep(whose, &some).await;
    }
    assert_eq!(place.flows(&FlowFilter::default()).await, [1, 2]);
    // The control: equal flows that are others are kept, and no number is left out.
    place.keep(whose, &[flow(Verdict::Allow)]).await;
    assert_eq!(place.flows(&FlowFilter::default()).await, [1, 2, 3]);
    place.keep(whose, &[]).await;
    // Two at once are one after the other.
    let again = [flow(Verdict::Allow)];
    let keep = || place.keep(whose, &again);
    tokio::join!(keep(), keep(), keep());
    assert_eq!(place.flows(&FlowFilter::default()).await, [1, 2, 3, 4]);
}

async fn flows_are_found_by_all_that_is_asked_for(place: Place) {
    let sessions: [SessionId; 2] = [fresh(), fresh()];
    let environments: [EnvironmentId; 2] = [fresh(), fresh()];
    let verdicts = [Verdict::Allow, Verdict::Deny];
    let mut all = Vec::new();
    for session in &sessions {
        for environment in &environments {
            for verdict in verdicts {
                place.keep((session, environment), &[flow(verdict)]).await;
                all.push((session, environment, verdict));
            }
        }
    }
    for session in [None, Some(&sessions[0]), Some(&sessions[1])] {
        for environment in [None, Some(&environments[1])] {
            for verdict in [None, Some(Verdict::Allow), Some(Verdict::Deny)] {
                let filter = FlowFilter {
                    session: session.cloned(),
                    environment: environment.cloned(),
                    verdict,
                };
                let wanted = (1..).zip(&all).filter(|(_, of)| {
                    session.is_none_or(|session| session == of.0)
                        && environment.is_none_or(|environment| environment == of.1)
                        && verdict.is_none_or(|verdict| verdict == of.2)
                });
                let wanted: Vec<i64> = wanted.map(|(number, _)| number).collect();
                assert_eq!(place.flows(&filter).await, wanted, "{filter:?}");
            }
        }
    }
}
