//! The official SDKs, and another tool in one of their languages, as their registries have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::User;
use crate::once::made_once;
use crate::process::{command, succeed};
use crate::server::https::python;

/// One version of one SDK or tool, installed once for all tests of a build directory.
#[derive(Debug)]
pub struct Sdk {
    directory: PathBuf,
    language: Language,
}

/// The version of the compiler of TypeScript.
const TYPESCRIPT: &str = "5.9.3";
/// The version of Node.js for what needs a newer one than the machine's.
const NODE: &str = "22.23.3";
/// The version of mitmproxy.
const MITMPROXY: &str = "11.0.2";
/// The versions of what LLM proxies are compared with.
const LITELLM: &str = "1.108.7";
const PORTKEY: &str = "1.15.2";
const CRABLLM: &str = "0.0.25";
/// The versions of what MCP gateways are compared with.
const MCP_PROXY: &str = "0.6.0";
const MCP_PROXY_NODE: &str = "6.7.19";
const FASTMCP: &str = "4.2.3";
/// The version of what searches of knowledge are compared with.
const TANTIVY: &str = "0.27.0";

#[derive(Debug, Clone, Copy)]
enum Language {
    Python,
    Node,
}

impl Sdk {
    /// `anthropic` of this version.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn python(version: &str) -> Self {
        Self::installed(Language::Python, "anthropic", version)
    }

    /// `openai` of this version.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn openai_python(version: &str) -> Self {
        Self::installed(Language::Python, "openai", version)
    }

    /// `schemathesis` of this version: requests that are made from an OpenAPI document, right ones and wrong ones.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn schemathesis(version: &str) -> Self {
        Self::installed(Language::Python, "schemathesis", version)
    }

    /// `mcp` of this version: the official SDK of MCP.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn mcp_python(version: &str) -> Self {
        Self::installed(Language::Python, "mcp", version)
    }

    /// `@modelcontextprotocol/sdk` of this version: the same in TypeScript.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn mcp_typescript(version: &str) -> Self {
        Self::installed(Language::Node, "@modelcontextprotocol/sdk", version)
    }

    /// `@modelcontextprotocol/client` of this version: its client alone, from the second major version on.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn mcp_typescript_client(version: &str) -> Self {
        Self::installed(Language::Node, "@modelcontextprotocol/client", version)
    }

    /// `@modelcontextprotocol/conformance` of this version: the official suite for servers and clients of MCP. Its command, with these arguments.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn mcp_conformance(version: &str, arguments: &[&str]) -> Command {
        let package = "@modelcontextprotocol/conformance";
        let suite = Self::installed(Language::Node, package, version);
        let program = suite.directory.join("node_modules").join(package);
        // It asks for a newer Node.js than distributions have.
        let runtime = Self::installed(Language::Node, "node", NODE);
        let node = runtime.directory.join("node_modules/node/bin/node");
        let mut node = command(node.to_str().expect("a path that is text"), User::current());
        node.arg(program.join("dist/index.js")).args(arguments);
        node
    }

    /// `opentelemetry-proto` of this version: the messages of OTLP.
    pub(crate) fn opentelemetry_proto(version: &str) -> Self {
        Self::installed(Language::Python, "opentelemetry-proto", version)
    }

    /// mitmproxy, which benchmarks compare with.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn mitmproxy() -> Self {
        Self::installed(Language::Python, "mitmproxy", MITMPROXY)
    }

    /// The proxy of LiteLLM, which benchmarks compare with.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn litellm() -> Self {
        Self::installed(Language::Python, "litellm[proxy]", LITELLM)
    }

    /// tantivy for Python, which benchmarks compare with.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn tantivy() -> Self {
        Self::installed(Language::Python, "tantivy", TANTIVY)
    }

    /// The gateway of Portkey, which benchmarks compare with: its command.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn portkey_gateway() -> Command {
        let package = "@portkey-ai/gateway";
        let gateway = Self::installed(Language::Node, package, PORTKEY);
        let mut node = command("node", User::current());
        let program = gateway.directory.join("node_modules").join(package);
        node.arg(program.join("build/start-server.js"));
        node
    }

    /// The program `crabllm`, which benchmarks compare with.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn crabllm() -> PathBuf {
        built("crabllm", CRABLLM)
    }

    /// The program `mcp-proxy` of the crate of that name, which benchmarks compare with.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn mcp_proxy() -> PathBuf {
        built("mcp-proxy", MCP_PROXY)
    }

    /// `mcp-proxy` for Node.js, which benchmarks compare with: its command.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn mcp_proxy_node() -> Command {
        let proxy = Self::installed(Language::Node, "mcp-proxy", MCP_PROXY_NODE);
        let mut node = command("node", User::current());
        let program = proxy.directory.join("node_modules/mcp-proxy");
        node.arg(program.join("dist/bin/mcp-proxy.mjs"));
        node
    }

    /// `fastmcp`, which benchmarks compare with.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn fastmcp() -> Self {
        Self::installed(Language::Python, "fastmcp", FASTMCP)
    }

    /// `@anthropic-ai/sdk` of this version.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn node(version: &str) -> Self {
        Self::installed(Language::Node, "@anthropic-ai/sdk", version)
    }

    /// `oidc-provider` of this version: an OpenID Connect provider.
    pub(crate) fn identity_provider(version: &str) -> Self {
        Self::installed(Language::Node, "oidc-provider", version)
    }

    /// Runs a script with these arguments and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails, with what it complained.
    pub fn run(&self, script: &str, arguments: &[&str]) -> String {
        succeed(self.command(script).args(arguments))
    }

    /// The command that runs a script, to be started beside the test.
    pub fn command(&self, script: &str) -> Command {
        match self.language {
            Language::Python => {
                let mut python = command(python(), User::current());
                python
                    .env("PYTHONPATH", &self.directory)
                    .args(["-c", script]);
                python
            }
            Language::Node => {
                // A module is found from where the script lies.
                let file = self
                    .directory
                    .join(format!("{}.mjs", rustix::thread::gettid()));
                fs::write(&file, script).expect("a script");
                let mut node = command("node", User::current());
                node.arg(file);
                node
            }
        }
    }

    /// The command that runs a program in TypeScript, once the compiler has found nothing wrong with it, be it of types alone.
    ///
    /// # Panics
    ///
    /// When this is no SDK of that language, or the compiler has something to say, with what it says.
    pub fn typescript(&self, program: &Path) -> Command {
        assert!(matches!(self.language, Language::Node), "{self:?}");
        let compiler = Self::installed(Language::Node, "typescript", TYPESCRIPT);
        // Modules are found from where the program lies.
        let below = self.directory.join(rustix::thread::gettid().to_string());
        fs::create_dir_all(&below).expect("a directory");
        fs::write(below.join("package.json"), r#"{"type": "module"}"#).expect("a package");
        let source = below.join(program.file_name().expect("a program's name"));
        fs::copy(program, &source).expect("a copy of the program");
        let mut tsc = command("node", User::current());
        tsc.arg(compiler.directory.join("node_modules/typescript/bin/tsc"));
        tsc.args(["--strict", "--skipLibCheck", "--target", "es2022"]);
        tsc.args([
            "--module",
            "nodenext",
            "--lib",
            "es2022,dom,dom.asynciterable",
        ]);
        tsc.arg(&source);
        let output = tsc.output().expect("the compiler starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let mut node = command("node", User::current());
        node.arg(source.with_extension("js"));
        node
    }

    fn installed(language: Language, package: &str, version: &str) -> Self {
        let name = format!("{}-{version}", package.replace(['@', '/', '[', ']'], ""));
        let name = match language {
            Language::Python => format!("sdks/python-{name}"),
            Language::Node => format!("sdks/node-{name}"),
        };
        let directory = made_once(&name, |directory| {
            install(language, package, version, directory);
        });
        Self {
            directory,
            language,
        }
    }
}

/// The program of a crate of that name.
fn built(name: &str, version: &str) -> PathBuf {
    let directory = made_once(&format!("sdks/{name}-{version}"), |directory| {
        let mut cargo = command("cargo", User::current());
        cargo.args(["install", "--quiet", "--locked", "--version", version]);
        succeed(cargo.arg("--root").arg(directory).arg(name));
    });
    directory.join("bin").join(name)
}

fn install(language: Language, package: &str, version: &str, directory: &Path) {
    let mut installer = match language {
        Language::Python => {
            let mut pip = command(python(), User::current());
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--target",
            ]);
            pip.arg(directory).arg(format!("{package}=={version}"));
            pip
        }
        Language::Node => {
            let mut npm = command("npm", User::current());
            npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
            npm.arg(directory).arg(format!("{package}@{version}"));
            npm
        }
    };
    succeed(&mut installer);
}
