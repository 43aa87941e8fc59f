//! A receiver of OpenTelemetry, with the messages as their own library reads them.

use serde_json::Value;

use crate::process::Child;
use crate::sdk::Sdk;

const SCRIPT: &str = include_str!("../../data/otlp_receiver.py");
const VERSION: &str = "1.45.2";

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpManner {
    /// It takes what comes.
    Takes,
    /// It answers nothing for ten minutes.
    Slow,
    /// It takes nothing, and says so for good (400).
    Refuses,
    /// For three seconds it says that it cannot now (503).
    Later,
}

/// A receiver on loopback that keeps what it understood.
#[derive(Debug)]
pub struct OtlpReceiver {
    process: Child,
    port: u64,
}

impl OtlpReceiver {
    /// One that behaves so.
    pub fn start(manner: OtlpManner) -> Self {
        let manner = match manner {
            OtlpManner::Takes => "takes",
            OtlpManner::Slow => "slow",
            OtlpManner::Refuses => "refuse",
            OtlpManner::Later => "later",
        };
        let mut python = Sdk::opentelemetry_proto(VERSION).command(SCRIPT);
        let process = Child::start_helper(python.arg(manner));
        let port = process.wait_for("the receiver's port", |line| {
            serde_json::from_str::<Value>(line).ok()?["port"].as_u64()
        });
        Self { process, port }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that it printed.
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    /// Requests: path and headers.
    pub fn requests(&self) -> Vec<Value> {
        self.said("request")
    }

    /// Spans.
    pub fn spans(&self) -> Vec<Value> {
        self.said("span")
    }

    /// Numbers, each time all of them.
    pub fn numbers(&self) -> Vec<Value> {
        self.said("numbers")
    }

    fn said(&self, kind: &str) -> Vec<Value> {
        let lines = self.process.printed();
        let objects = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects
            .filter_map(|mut object| object.get_mut(kind).map(Value::take))
            .collect()
    }
}
