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
