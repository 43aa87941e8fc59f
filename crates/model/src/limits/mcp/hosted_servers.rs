//! Bounds of MCP servers that run here, in sandboxes.

use std::time::Duration;

/// How long a program in a sandbox may take to accept a connection from outside.
pub const SANDBOX_CONNECT: Duration = Duration::from_secs(5);
/// Messages that wait until a server reads its input.
pub const MCP_PIPED_MESSAGES: usize = 64;
/// Servers that one process runs or remembers, of all organizations together.
pub const HOSTED_SERVERS: usize = 200;
/// Of one organization.
pub const HOSTED_SERVERS_OF_ORGANIZATION: usize = 50;
/// Servers that are made ready at the same time in one process, their images above all.
pub const HOSTED_STARTS: usize = 8;
/// Of one organization.
pub const HOSTED_STARTS_OF_ORGANIZATION: usize = 2;
/// How long whoever asks waits for a server to start; it goes on starting after that.
pub const HOSTED_START_WAIT: Duration = Duration::from_secs(60);
/// How long a program may take until it answers as an MCP server.
pub const HOSTED_BEGIN_TIME: Duration = Duration::from_secs(60);
/// How often a program that is to listen is looked at until it does.
pub const HOSTED_LISTEN_LOOK: Duration = Duration::from_millis(100);
/// How often it is looked at whether what servers were made from still holds.
pub const HOSTED_LOOK: Duration = Duration::from_secs(2);
/// How often a server that nobody asks anything is asked whether it is there.
pub const HOSTED_PULSE: Duration = Duration::from_secs(30);
/// How long it may take to say so.
pub const HOSTED_PULSE_TIME: Duration = Duration::from_secs(10);
/// How often in a row it may say nothing; then it is started again.
pub const HOSTED_PULSES_MISSED: u32 = 3;
/// How long a server that nobody uses runs on.
pub const HOSTED_IDLE: Duration = Duration::from_secs(15 * 60);
/// How long a server that has ended by itself is not started again, the first time; it doubles.
pub const HOSTED_PAUSE: Duration = Duration::from_secs(1);
/// How long at most.
pub const HOSTED_PAUSE_MOST: Duration = Duration::from_secs(300);
/// How long a server has to run until its failures are forgotten.
pub const HOSTED_STEADY: Duration = Duration::from_secs(300);
/// How long programs of a server have to end by themselves.
pub const HOSTED_GRACE: Duration = Duration::from_secs(5);
/// How long a server runs on while nobody can find out what holds for it.
pub const HOSTED_STALE: Duration = Duration::from_secs(30);
/// Bytes that are kept of what a server printed; what is older goes.
pub const HOSTED_LOG_BYTES: usize = 128 << 10;
/// Bytes of one line of it; what is longer is cut.
pub const HOSTED_LOG_LINE_BYTES: usize = 4096;
/// Bytes of a server's errors that are read at once, with a pause of [`HOSTED_LOG_PAUSE`] after that: a server that prints without end waits.
pub const HOSTED_LOG_READ_BYTES: usize = 16 << 10;
/// See [`HOSTED_LOG_READ_BYTES`].
pub const HOSTED_LOG_PAUSE: Duration = Duration::from_millis(5);
/// Lines of the log that are told with a failure.
pub const HOSTED_LOG_TOLD: usize = 8;
/// Arguments of a server's command.
pub const HOSTED_ARGUMENTS: usize = 256;
/// Variables and secrets of a server.
pub const HOSTED_VARIABLES: usize = 128;
/// Bytes of arguments and variables together.
pub const HOSTED_COMMAND_BYTES: usize = 64 << 10;
