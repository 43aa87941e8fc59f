//! What a session tried to reach, on its way into the database.

use std::sync::Arc;

use bailiwick_model::Flow;
use bailiwick_model::limits::{
    SESSION_FLOWS_AT_ONCE, SESSION_FLOWS_AT_PACE, SESSION_FLOWS_GATHER, SESSION_FLOWS_LAST,
    SESSION_FLOWS_PACE, SESSION_FLOWS_WAITING,
};
use bailiwick_runtime::Event;
use bailiwick_tools::Denials;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::FlowsOf;
use crate::control::Control;

/// The flows of one sandbox, or of what the server connects to in a session's stead, written in the order in which they come. It ends when
/// nobody can send any more.
pub(crate) struct Journal {
    written: JoinHandle<()>,
    hurries: watch::Sender<bool>,
}

impl Journal {
    /// Where to send flows: when too many wait to be written, who sends waits, or knows that one is lost.
    pub(crate) fn begin(control: Arc<Control>, whose: FlowsOf) -> (mpsc::Sender<Flow>, Self) {
        let (sender, flows) = mpsc::channel(SESSION_FLOWS_WAITING);
        let (hurries, hurried) = watch::channel(false);
        let written = tokio::spawn(write(control, whose, flows, hurried));
        (sender, Self { written, hurries })
    }

    /// Whether what comes is written as fast as it can be: a sandbox that is to end waits for its last flows, and makes no more.
    pub(crate) fn hurry(&self, does: bool) {
        self.hurries.send_replace(does);
    }

    /// Waits until what has come is written, within bounds.
    pub(crate) async fn last(self) {
        self.hurry(true);
        if timeout(SESSION_FLOWS_LAST, self.written).await.is_err() {
            tracing::warn!("the last flows of a sandbox are not yet written");
        }
    }
}

/// Reads what happens in a sandbox until nothing does any more.
pub(crate) async fn attend(
    mut events: mpsc::Receiver<Event>,
    denials: Arc<Denials>,
    flows: mpsc::Sender<Flow>,
) {
    while let Some(event) = events.recv().await {
        denials.hear(&event);
        if let Event::Flow(flow) = event {
            // Whoever writes them reads on for as long as there is a sender.
            let _ = flows.send(*flow).await;
        }
    }
}

async fn write(
    control: Arc<Control>,
    whose: FlowsOf,
    mut flows: mpsc::Receiver<Flow>,
    mut hurried: watch::Receiver<bool>,
) {
    let mut pace = Pace::default();
    let mut some = Vec::with_capacity(SESSION_FLOWS_AT_ONCE);
    while flows.recv_many(&mut some, SESSION_FLOWS_AT_ONCE).await > 0 {
        let of = (whose.session.as_ref(), &whose.environment);
        control.keep_flows(&whose.organization, of, &some).await;
        let wait = pace.after(some.len(), Instant::now());
        some.clear();
        // One write for many: a program that opens a hundred connections is not to make a hundred.
        sleep(SESSION_FLOWS_GATHER).await;
        tokio::select! {
            () = sleep(wait) => {}
            // Also once nobody has the journal any more, as its sandbox has ended.
            _ = hurried.wait_for(|hurried| *hurried) => {}
        }
    }
}

/// How fast flows are written: the first [`SESSION_FLOWS_AT_PACE`] as they come, and then one every [`SESSION_FLOWS_PACE`]. What was not
/// written in quiet times may be later.
#[derive(Default)]
struct Pace {
    /// When all that was written would have been, one at a time.
    through: Option<Instant>,
}

impl Pace {
    /// How long to wait after `count` flows that are written now.
    fn after(&mut self, count: usize, now: Instant) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let from = self.through.map_or(now, |through| through.max(now));
        let through = from + SESSION_FLOWS_PACE.saturating_mul(count);
        self.through = Some(through);
        through
            .duration_since(now)
            .saturating_sub(SESSION_FLOWS_PACE * SESSION_FLOWS_AT_PACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many flows are written in so many seconds by a program that makes as many as it can.
    fn written_in(seconds: u64, pace: &mut Pace, from: Instant) -> usize {
        let (mut now, mut written) = (from, 0);
        let end = from + Duration::from_secs(seconds);
        while now < end {
            written += SESSION_FLOWS_AT_ONCE;
            now += SESSION_FLOWS_GATHER + pace.after(SESSION_FLOWS_AT_ONCE, now);
        }
        written
    }

    #[test]
    fn a_flood_is_written_slowly_and_what_comes_with_pauses_at_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let many = SESSION_FLOWS_AT_PACE as usize;
        assert_eq!(pace.after(many, now), Duration::ZERO);
        assert_eq!(pace.after(10, now), SESSION_FLOWS_PACE * 10);
        let later = now + SESSION_FLOWS_PACE * (SESSION_FLOWS_AT_PACE + 10);
        assert_eq!(pace.after(many, later), Duration::ZERO);
        let a_day = written_in(24 * 60 * 60, &mut Pace::default(), now);
        assert!(a_day < 900_000, "{a_day} flows in a day");
    }
}
