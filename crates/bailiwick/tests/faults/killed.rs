//! The process of the server is killed, a hundred times.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_testkit::eventually;
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::consistency::{assert_chained, assert_whole};
use crate::ledger::{Ledger, Pen};
use crate::{Up, machine};

const KILLS: usize = 100;
const WRITERS: usize = 8;
/// For what takes milliseconds on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// After how many writes it is killed, while the next ones are on their way: another moment each time.
fn moment(kill: usize) -> usize {
    1 + kill * 7 % 40
}

#[test]
fn alone_what_was_acknowledged_outlives_a_hundred_kills_of_the_server() {
    let machine = machine();
    let url = format!("sqlite:{}/bailiwick.db", machine.workspace().display());
    let runtime = Runtime::new().expect("a runtime");
    let (mut all, mut last) = (Ledger::default(), Ledger::default());
    for kill in 0..KILLS {
        let pen = Arc::new(Pen::default());
        let mut server = Up::start(&machine, &url);
        runtime.block_on(async {
            last.compare(&server.face).await;
            assert_whole(&url).await;
        });
        all.add(std::mem::take(&mut last));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| runtime.spawn(Ledger::write(server.face.clone(), Arc::clone(&pen))))
            .collect();
        eventually("there is load", PATIENCE, || {
            (pen.acknowledged() >= moment(kill)).then_some(())
        });
        server.process.signal(Signal::KILL);
        server.process.wait(PATIENCE);
        for writer in writers {
            last.add(runtime.block_on(writer).expect("a writer"));
        }
    }
    all.add(last);
    let server = Up::start(&machine, &url);
    let entries = runtime.block_on(async {
        all.compare(&server.face).await;
        assert_whole(&url).await;
        assert_chained(&url).await
    });
    // The controls: there was load, and it was cut off in the middle.
    assert!(all.acknowledged > 15 * KILLS, "{}", all.acknowledged);
    assert!(all.in_doubt > KILLS, "{}", all.in_doubt);
    assert!(entries > all.acknowledged as i64, "{entries}");
}
