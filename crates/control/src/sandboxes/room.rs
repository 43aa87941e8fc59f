//! Who gives way where there is no more room on a server: what was kept longest ago.
//!
//! A sandbox that runs gives way to none. What was kept is a file on this machine and a place that nobody uses, so neither can be had without end.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bailiwick_model::limits::{
    SESSION_SANDBOX_KEPT_BYTES_OF_ORGANIZATION, SESSION_SANDBOXES,
    SESSION_SANDBOXES_OF_ORGANIZATION,
};
use bailiwick_model::{OrganizationId, SessionId};
use tokio::time::Instant;

use super::error::SandboxError;

/// How much room sandboxes of sessions have on one server.
#[derive(Debug, Clone, Copy)]
pub struct SandboxRoom {
    /// Sessions with a sandbox, or with one that was kept.
    pub sessions: usize,
    /// Those of one organization.
    pub sessions_of_organization: usize,
    /// Bytes that what was kept of one organization takes.
    pub kept_bytes_of_organization: u64,
}

impl Default for SandboxRoom {
    fn default() -> Self {
        Self {
            sessions: SESSION_SANDBOXES,
            sessions_of_organization: SESSION_SANDBOXES_OF_ORGANIZATION,
            kept_bytes_of_organization: SESSION_SANDBOX_KEPT_BYTES_OF_ORGANIZATION,
        }
    }
}

/// What is in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// No sandbox.
    Nothing,
    /// One that runs.
    Running,
    /// What was kept of one.
    Kept { since: Instant, bytes: u64 },
}

/// A place, as of when it was last let go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) organization: &'a OrganizationId,
    pub(super) session: &'a SessionId,
    pub(super) content: Content,
    /// A call wants it.
    pub(super) is_wanted: bool,
}

impl Seen<'_> {
    /// Since when it could be done without, if it can be; where there is nothing it is missed least.
    fn at_rest(&self) -> Option<Option<Instant>> {
        if self.is_wanted {
            return None;
        }
        match self.content {
            Content::Running => None,
            Content::Nothing => Some(None),
            Content::Kept { since, .. } => Some(Some(since)),
        }
    }
}

impl SandboxRoom {
    /// Whose place another session of an organization takes, if there is no free one.
    pub(super) fn giving_way(
        &self,
        places: &[Seen<'_>],
        organization: &OrganizationId,
    ) -> Result<Option<SessionId>, SandboxError> {
        let mut counts = BTreeMap::<&OrganizationId, usize>::new();
        for place in places {
            *counts.entry(place.organization).or_default() += 1;
        }
        let own = counts.get(organization).copied().unwrap_or_default();
        if own >= self.sessions_of_organization {
            let oldest = longest_at_rest(places, organization);
            return oldest.map(Some).ok_or(SandboxError::OrganizationFull);
        }
        if places.len() < self.sessions {
            return Ok(None);
        }
        // Whoever has most gives first, and nobody to those who have more.
        let gives = |(of, count): &(&OrganizationId, usize)| *of == organization || *count > own;
        let mut giving: Vec<_> = counts.into_iter().filter(gives).collect();
        giving.sort_by_key(|(_, count)| Reverse(*count));
        let mut oldest = giving
            .into_iter()
            .filter_map(|(of, _)| longest_at_rest(places, of));
        oldest.next().map(Some).ok_or(SandboxError::Full)
    }

    /// Of which session what was kept is given up, if that of its organization takes too much.
    pub(super) fn given_up(
        &self,
        places: &[Seen<'_>],
        organization: &OrganizationId,
    ) -> Option<SessionId> {
        let own = || {
            places
                .iter()
                .filter(|seen| seen.organization == organization)
        };
        let bytes = own().map(|seen| match seen.content {
            Content::Kept { bytes, .. } => bytes,
            Content::Nothing | Content::Running => 0,
        });
        if bytes.fold(0, u64::saturating_add) <= self.kept_bytes_of_organization {
            return None;
        }
        // One that a call wants is about to be used up.
        let kept = own().filter(|seen| matches!(seen.content, Content::Kept { .. }));
        longest(kept)
    }
}

fn longest_at_rest(places: &[Seen<'_>], organization: &OrganizationId) -> Option<SessionId> {
    longest(
        places
            .iter()
            .filter(|seen| seen.organization == organization),
    )
}

fn longest<'a>(places: impl Iterator<Item = &'a Seen<'a>>) -> Option<SessionId> {
    let at_rest = places.filter_map(|seen| Some((seen.at_rest()?, seen.session)));
    let longest = at_rest.min_by_key(|(since, _)| *since);
    longest.map(|(_, session)| session.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_model::ResourceId as _;

    use super::*;

    const ROOM: SandboxRoom = SandboxRoom {
        sessions: 6,
        sessions_of_organization: 3,
        kept_bytes_of_organization: 10,
    };

    fn organization(number: u8) -> OrganizationId {
        OrganizationId::made(0, [number; 10])
    }

    fn session(number: u8) -> SessionId {
        SessionId::made(0, [number; 10])
    }

    /// Of which organization, and since which second so many bytes are kept; of none, a sandbox runs.
    type Made = (u8, Option<(u64, u64)>);

    struct Places(Vec<(OrganizationId, SessionId, Content)>);

    impl Places {
        fn of(places: &[Made]) -> Self {
            let now = Instant::now();
            let content = |(since, bytes)| Content::Kept {
                since: now + Duration::from_secs(since),
                bytes,
            };
            let place = |(number, (of, kept)): (u8, &Made)| {
                let content = kept.map_or(Content::Running, content);
                (organization(*of), session(number), content)
            };
            Self((0..).zip(places).map(place).collect())
        }

        /// As they are seen while a call wants one of them.
        fn while_one_is_wanted(&self, wanted: u8) -> Vec<Seen<'_>> {
            let mut seen = self.seen();
            seen[usize::from(wanted)].is_wanted = true;
            seen
        }

        fn seen(&self) -> Vec<Seen<'_>> {
            let seen = self.0.iter();
            let seen = seen.map(|(organization, session, content)| Seen {
                organization,
                session,
                content: *content,
                is_wanted: false,
            });
            seen.collect()
        }
    }

    /// Whose place a session of an organization takes: its number.
    fn giving_way(places: &[Seen<'_>], to: u8) -> Result<Option<u8>, String> {
        let given = ROOM.giving_way(places, &organization(to));
        given.map(number).map_err(|error| error.to_string())
    }

    fn number(found: Option<SessionId>) -> Option<u8> {
        let found = found?;
        (0..u8::MAX).find(|number| found == session(*number))
    }

    #[test]
    fn nobody_gives_way_while_there_is_room() {
        let places = Places::of(&[(1, Some((0, 1))), (1, None), (2, Some((1, 1)))]);
        for newcomer in [1, 2, 3] {
            assert_eq!(giving_way(&places.seen(), newcomer), Ok(None));
        }
    }

    #[test]
    fn an_organization_with_as_many_as_it_may_have_loses_what_it_kept_longest_ago() {
        let places = Places::of(&[
            (1, Some((9, 1))),
            (1, Some((5, 1))),
            (1, None),
            (2, Some((1, 1))),
        ]);
        assert_eq!(giving_way(&places.seen(), 1), Ok(Some(1)));
        // Not while a call is about to go on with it.
        assert_eq!(giving_way(&places.while_one_is_wanted(1), 1), Ok(Some(0)));
        let places = Places::of(&[(1, None), (1, None), (1, None), (2, Some((1, 1)))]);
        let full = giving_way(&places.seen(), 1).unwrap_err();
        assert!(full.contains("the organization has sandboxes"), "{full}");
    }

    #[test]
    fn a_place_without_a_sandbox_gives_way_first() {
        let mut places = Places::of(&[(1, Some((0, 1))), (1, None), (1, None)]);
        places.0[1].2 = Content::Nothing;
        assert_eq!(giving_way(&places.seen(), 1), Ok(Some(1)));
        assert_eq!(giving_way(&places.while_one_is_wanted(1), 1), Ok(Some(0)));
    }

    #[test]
    fn on_a_full_server_whoever_has_most_gives_way_and_nobody_to_those_who_have_more() {
        let (old, new) = (Some((1, 1)), Some((9, 1)));
        let mut made = [(1, old), (1, old), (2, new), (2, old), (2, new), (4, old)];
        let full = Places::of(&made);
        assert_eq!(giving_way(&full.seen(), 3), Ok(Some(3)));
        assert_eq!(giving_way(&full.seen(), 4), Ok(Some(3)));
        for place in &mut made[2..5] {
            place.1 = None;
        }
        // Those of the second organization run.
        let full = Places::of(&made);
        assert_eq!(giving_way(&full.seen(), 3), Ok(Some(0)));
        assert_eq!(giving_way(&full.seen(), 1), Ok(Some(0)), "its own");
        for place in &mut made[..2] {
            place.1 = None;
        }
        let full = Places::of(&made);
        assert_eq!(giving_way(&full.seen(), 3), Ok(Some(5)));
        let refused = giving_way(&full.seen(), 1).unwrap_err();
        assert!(refused.contains("this server has sandboxes"), "{refused}");
    }

    #[test]
    fn of_more_bytes_than_an_organization_may_keep_the_oldest_go() {
        let given_up = |places: &[Seen<'_>]| number(ROOM.given_up(places, &organization(1)));
        let within = Places::of(&[(1, Some((0, 4))), (1, Some((1, 6))), (2, Some((0, 100)))]);
        assert_eq!(given_up(&within.seen()), None);
        let beyond = Places::of(&[(2, Some((0, 9))), (1, Some((2, 6))), (1, Some((1, 5)))]);
        assert_eq!(given_up(&beyond.seen()), Some(2));
        assert_eq!(given_up(&beyond.while_one_is_wanted(2)), Some(1));
    }
}
