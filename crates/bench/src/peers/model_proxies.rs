//! What else stands between clients and models: a proxy that only passes bytes on, and gateways that know what they pass on.

use std::fs;
use std::net::SocketAddr;

use anyhow::Result;
use bailiwick_testkit::Sdk;

use super::Stage;
use super::proxies::{Proxy, free_address, listening, start};
use crate::os;

/// haproxy: one hop that looks at heads of HTTP, and nothing else.
pub(crate) fn haproxy(stage: &Stage, model: SocketAddr) -> Result<Proxy> {
    let address = free_address()?;
    let config = format!(
        "global\n  nbthread 2\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  option http-keep-alive\n  http-reuse always\n\
         frontend f\n  bind {address}\n  default_backend b\nbackend b\n  server s {model}\n"
    );
    start(stage, "haproxy", &["-f"], &config, address)
}

/// crabllm with a virtual key, usage and a budget.
pub(crate) fn crabllm(stage: &Stage, model: SocketAddr, key: &str) -> Result<Proxy> {
    let address = free_address()?;
    let file = stage.path("crabllm.toml");
    let config = format!(
        "listen = \"{address}\"\n\n[providers.mock]\nkind = \"openai\"\napi_key = \"sk-test\"\nbase_url = \"http://{model}/v1\"\nmodels = [\"gpt-5\"]\n\n\
         [[keys]]\nname = \"bench\"\nkey = \"{key}\"\nmodels = [\"*\"]\n\n[models.\"gpt-5\".pricing]\nprompt_cost_per_million = 1.25\ncompletion_cost_per_million = 10.0\n\n\
         [extensions.usage]\n\n[extensions.budget]\ndefault_budget = 1000000.0\n"
    );
    fs::write(&file, config)?;
    let mut command = os::command(Sdk::crabllm());
    command.args(["serve", "--config"]).arg(&file);
    listening("crabllm", command, address)
}

/// The gateway of Portkey. Whom it asks is in the headers of each request.
pub(crate) fn portkey() -> Result<Proxy> {
    let address = free_address()?;
    let mut node = Sdk::portkey_gateway();
    node.arg(format!("--port={}", address.port()))
        .arg("--headless");
    node.env("NODE_ENV", "production");
    listening("Portkey", node, address)
}

/// LiteLLM's proxy, without a database: that is as fast as it gets.
pub(crate) fn litellm(stage: &Stage, model: SocketAddr, key: &str) -> Result<Proxy> {
    let address = free_address()?;
    let file = stage.path("litellm.yaml");
    let config = format!(
        "model_list:\n- model_name: gpt-5\n  litellm_params:\n    model: openai/gpt-5\n    api_base: http://{model}/v1\n    api_key: sk-test\n\
         general_settings:\n  master_key: {key}\nlitellm_settings:\n  telemetry: false\n"
    );
    fs::write(&file, config)?;
    let script =
        "import sys; sys.argv[0] = 'litellm'; from litellm import run_server; run_server()";
    let mut python = Sdk::litellm().command(script);
    python
        .arg("--config")
        .arg(&file)
        .args(["--host", "127.0.0.1", "--num_workers", "2", "--port"])
        .arg(address.port().to_string());
    listening("LiteLLM", python, address)
}
