//! The revisions of the protocol that are served.

/// A revision, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Revision {
    /// 2024-11-05, over Streamable HTTP too.
    November2024,
    /// 2025-03-26, the one with batches.
    March2025,
    /// 2025-06-18.
    June2025,
    /// 2025-11-25, the last one with sessions.
    November2025,
    /// 2026-07-28: each request says everything.
    July2026,
}

/// Whether requests hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// A session is begun, and the other requests are made in it.
    Sessions,
    /// Each request is for itself.
    Requests,
}

impl Revision {
    /// The newest first, as they are told.
    pub(super) const ALL: [Self; 5] = [
        Self::July2026,
        Self::November2025,
        Self::June2025,
        Self::March2025,
        Self::November2024,
    ];
    /// What whoever begins a session in a revision that is not known is offered.
    pub(super) const NEWEST_WITH_SESSIONS: Self = Self::November2025;

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::November2024 => "2024-11-05",
            Self::March2025 => "2025-03-26",
            Self::June2025 => "2025-06-18",
            Self::November2025 => "2025-11-25",
            Self::July2026 => "2026-07-28",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    pub(super) fn era(self) -> Era {
        match self {
            Self::November2024 | Self::March2025 | Self::June2025 | Self::November2025 => {
                Era::Sessions
            }
            Self::July2026 => Era::Requests,
        }
    }

    /// What is agreed on where this was asked for at the beginning of a session (2025-11-25, Lifecycle, "Version Negotiation").
    pub(super) fn agreed(asked: &str) -> Self {
        let known = Self::of(asked).filter(|known| known.era() == Era::Sessions);
        known.unwrap_or(Self::NEWEST_WITH_SESSIONS)
    }

    /// Whether messages may come in lists (2025-03-26, Base Protocol, "Batching"; JSON-RPC 2.0, section 6, before that).
    pub(super) fn has_batches(self) -> bool {
        match self {
            Self::November2024 | Self::March2025 => true,
            Self::June2025 | Self::November2025 | Self::July2026 => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_begun_in_the_revision_that_was_asked_for_or_the_newest_with_sessions() {
        for revision in Revision::ALL {
            let expect = match revision.era() {
                Era::Sessions => revision,
                Era::Requests => Revision::November2025,
            };
            assert_eq!(Revision::agreed(revision.name()), expect);
        }
        assert_eq!(Revision::agreed("1.0"), Revision::November2025);
    }
}
