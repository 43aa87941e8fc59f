//! A child process that takes orders.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::Reply;

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts the command with pipes to its standard input and output.
    pub(crate) fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let orders = child.stdin.take();
        let replies = child
            .stdout
            .take()
            .map(BufReader::new)
            .context("a child without standard output")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            orders,
            replies,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            bail!(
                "{} ended with {} before it answered",
                self.name,
                self.child.wait()?
            );
        }
        serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name))
    }

    /// Gives an order and waits for what it measures.
    pub(crate) fn measure(&mut self, order: &impl Serialize) -> Result<Vec<f64>> {
        let mut orders = self.orders.as_ref().context("the worker takes no orders")?;
        orders.write_all(format!("{}\n", serde_json::to_string(order)?).as_bytes())?;
        match self.hear()? {
            Reply::Samples(samples) => Ok(samples),
            Reply::Failed(why) => bail!("{}: {why}", self.name),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input tells it to go, which lets `bailiwick run` tidy up; whoever does not listen is killed.
        drop(self.orders.take());
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(20)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side: obeys each line of standard input until there are no more.
pub(crate) fn obey<Order: DeserializeOwned>(
    mut obey: impl FnMut(Order) -> Result<Vec<f64>>,
) -> Result<()> {
    for line in std::io::stdin().lines() {
        let reply = match obey(serde_json::from_str(&line?)?) {
            Ok(samples) => Reply::Samples(samples),
            Err(error) => Reply::Failed(format!("{error:#}")),
        };
        say(&reply)?;
    }
    Ok(())
}

/// Prints one value as one line.
pub(crate) fn say(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Waits until the conductor closes standard input or dies.
pub(crate) fn wait_for_end() -> Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
