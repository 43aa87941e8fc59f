//! Every bound of the product that is not a kernel's: one place, the unit in the name.

use std::time::Duration;

/// The largest environment file that is read.
pub const ENVIRONMENT_FILE_BYTES: usize = 1024 * 1024;
/// The most host rules, allowed and denied together, in one environment.
pub const HOST_RULES: usize = 500;
/// The most CIDR rules, allowed and denied together, in one environment.
pub const CIDR_RULES: usize = 500;
/// The most `host_ports` in one environment.
pub const HOST_PORTS: usize = 100;

/// Maps and lists inside one another in an environment file; the format itself needs four.
pub const ENVIRONMENT_FILE_DEPTH: usize = 16;
/// Keys and values in an environment file, those of nested maps and lists included.
pub const ENVIRONMENT_FILE_NODES: usize = 20_000;
/// Errors that are reported for one environment file; the rest are only counted.
pub const ENVIRONMENT_FILE_ERRORS: usize = 100;
/// Characters of an environment's description.
pub const DESCRIPTION_CHARS: usize = 1024;
/// Pairs in the `metadata` of an environment.
pub const METADATA_PAIRS: usize = 16;
/// Characters of a key in `metadata`.
pub const METADATA_KEY_CHARS: usize = 64;
/// Characters of a value in `metadata`.
pub const METADATA_VALUE_CHARS: usize = 512;
/// Packages of one package manager in one environment.
pub const PACKAGES_PER_MANAGER: usize = 500;
/// Bytes of one package specification, such as `pytest==8.3.4`.
pub const PACKAGE_BYTES: usize = 512;

/// Connections that one sandbox may have open at once.
pub const CONNECTIONS: usize = 1024;
/// Names that one sandbox may resolve in its life; each has a synthetic address of its own.
pub const NAMES: usize = 4096;
/// New names that one sandbox may resolve in a minute.
pub const NEW_NAMES_PER_MINUTE: u32 = 600;
/// DNS questions of one sandbox that are being worked on at once.
pub const DNS_IN_FLIGHT: usize = 64;
/// Bytes of a ClientHello that are kept while its server name is looked for.
pub const CLIENT_HELLO_BYTES: usize = 64 * 1024;
/// Bytes of an HTTP request head that are kept while its host is checked.
pub const HTTP_HEAD_BYTES: usize = 64 * 1024;
/// Flow records that may wait for their reader before new flows wait too.
pub const FLOWS_WAITING: usize = 4096;

/// How long resolving and connecting may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a relayed connection may be silent in both directions.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How long a denied connection waits for a first request, so that HTTP can be told why.
pub const DENIED_GRACE: Duration = Duration::from_millis(250);
/// How long a half-closed connection may stay open without a byte.
pub const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Processes and threads in one sandbox, when nothing else is asked for.
pub const DEFAULT_PIDS: u32 = 4096;
/// Open files of one process in a sandbox.
pub const OPEN_FILES: u64 = 65_536;
/// Inodes of a sandbox's private file system.
pub const PRIVATE_INODES: u64 = 1_000_000;
