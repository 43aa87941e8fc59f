//! Many connections at once.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::net::sockopt;

use super::{Route, ping};

/// What is read at once: large enough that the reader is not what is measured.
const READ_BYTES: usize = 256 * 1024;
/// Left out at the start, while windows open.
const WARM_UP: Duration = Duration::from_millis(100);

/// Reads from so many connections at once; MiB a second.
pub(super) fn throughput(route: &Route, streams: u32, duration: Duration) -> Result<Vec<f64>> {
    let total = AtomicU64::new(0);
    let end = Instant::now() + WARM_UP + duration;
    let rate = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..streams)
            .map(|_| scope.spawn(|| read(route, end, &total)))
            .collect();
        std::thread::sleep(WARM_UP);
        let (start, before) = (Instant::now(), total.load(Ordering::Relaxed));
        std::thread::sleep(end.saturating_duration_since(start));
        let bytes = total.load(Ordering::Relaxed) - before;
        let rate = bytes as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64();
        for reader in readers {
            reader
                .join()
                .map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        }
        anyhow::Ok(rate)
    })?;
    Ok(vec![rate])
}

fn read(route: &Route, end: Instant, total: &AtomicU64) -> Result<()> {
    let mut stream = route.open(route.services.source)?;
    let mut buffer = vec![0; READ_BYTES];
    while Instant::now() < end {
        let length = stream.read(&mut buffer).context("the stream broke off")?;
        anyhow::ensure!(length > 0, "the stream ended");
        total.fetch_add(length as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Opens, uses once and closes connections from so many threads at once; connections a second.
pub(super) fn connections(route: &Route, threads: u32, duration: Duration) -> Result<Vec<f64>> {
    let start = Instant::now();
    let end = start + duration;
    let counts = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| open_many(route, end)))
            .collect();
        let join = |opener: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
            opener
                .join()
                .map_err(|_| anyhow::anyhow!("an opener panicked"))?
        };
        openers.into_iter().map(join).collect::<Result<Vec<u64>>>()
    })?;
    Ok(vec![
        counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64(),
    ])
}

fn open_many(route: &Route, end: Instant) -> Result<u64> {
    let mut count = 0;
    while Instant::now() < end {
        let mut stream = route.open(route.services.echo)?;
        ping(&mut stream)?;
        // Reset instead of TIME_WAIT: ports of one client address are few.
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        count += 1;
    }
    Ok(count)
}
