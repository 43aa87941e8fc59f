//! Searches of texts: by Bailiwick's store, and by the databases' own means without it.

mod bailiwick;
mod direct;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::corpus;
use crate::histogram::Histogram;
use crate::worker;
use bailiwick::Searched;
use direct::{Fts5, Tsvector};

/// Results of one search.
const RESULTS: u32 = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who searches.
    #[arg(value_enum)]
    who: Who,
    /// The URL of an empty database, or where to write a file.
    place: String,
    /// Pieces of text in all.
    #[arg(long)]
    chunks: usize,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Who {
    /// Bailiwick's store.
    Bailiwick,
    /// FTS5 of SQLite.
    Fts5,
    /// tsvector of PostgreSQL.
    Tsvector,
    /// Nobody: all texts are written to a file, for who is not of this program.
    File,
}

/// What is searched for, and by how many at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SearchLoad {
    pub(crate) questions: Vec<String>,
    pub(crate) at_once: usize,
}

enum Engine {
    Bailiwick(Searched),
    Fts5(Fts5),
    Tsvector(Tsvector),
}

impl Engine {
    /// How many results there are.
    async fn search(&self, question: &str) -> Result<usize> {
        match self {
            Self::Bailiwick(searched) => searched.search(question).await,
            Self::Fts5(searched) => searched.search(question).await,
            Self::Tsvector(searched) => searched.search(question).await,
        }
    }
}

/// Fills what is searched, says so in one line, and obeys orders; answers with searches a second, and the median and the 99th of 100 of their
/// microseconds.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // What is filled has connections that are let go of within it, wherever this ends.
    let _inside = runtime.enter();
    let engine = match args.who {
        Who::File => {
            write(&args.place.clone().into(), args.chunks)?;
            return worker::say(&true);
        }
        Who::Bailiwick => {
            let made = Searched::filled(&args.place, args.chunks);
            Engine::Bailiwick(runtime.block_on(made)?)
        }
        Who::Fts5 => Engine::Fts5(runtime.block_on(Fts5::filled(&args.place, args.chunks))?),
        Who::Tsvector => {
            let made = Tsvector::filled(&args.place, args.chunks);
            Engine::Tsvector(runtime.block_on(made)?)
        }
    };
    worker::say(&true)?;
    let engine = Arc::new(engine);
    worker::obey(|load: SearchLoad| runtime.block_on(searched(&engine, load)))
}

async fn searched(engine: &Arc<Engine>, load: SearchLoad) -> Result<Vec<f64>> {
    let (questions, next) = (Arc::new(load.questions), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let searchers = (0..load.at_once).map(|_| {
        let (engine, questions, next) = (
            Arc::clone(engine),
            Arc::clone(&questions),
            Arc::clone(&next),
        );
        tokio::spawn(async move {
            let (mut times, mut found) = (Histogram::new(), 0);
            while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                let begun = Instant::now();
                found += engine.search(question).await?;
                times.record(begun.elapsed());
            }
            anyhow::Ok((times, found))
        })
    });
    let searchers: Vec<_> = searchers.collect();
    let (mut times, mut found) = (Histogram::new(), 0);
    for searcher in searchers {
        let (own, own_found) = searcher.await??;
        times.add(&own);
        found += own_found;
    }
    let took = begun.elapsed();
    if found == 0 {
        bail!("nothing was found");
    }
    let at = |percent| times.percentile(percent).context("nothing was searched");
    Ok(vec![
        times.total() as f64 / took.as_secs_f64(),
        at(50)?,
        at(99)?,
    ])
}

/// Each piece as one line of JSON.
fn write(file: &PathBuf, chunks: usize) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(file)?);
    for (index, environment) in corpus::ENVIRONMENTS.iter().enumerate() {
        for document in corpus::documents(index, chunks / corpus::ENVIRONMENTS.len()) {
            for (headings, body) in &document.chunks {
                let line = json!({"environment": environment, "title": document.title, "headings": headings, "body": body});
                writeln!(file, "{line}")?;
            }
        }
    }
    Ok(file.flush()?)
}
