//! System calls that rustix does not wrap: the whole of this crate's raw edge towards the kernel.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

/// linux/sched.h; libc's constant of this name is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a [`clone3`] returned in.
pub(crate) enum Cloned {
    /// The parent, with the child's pid (as seen here) and a pidfd for it.
    Parent { child: Pid, pidfd: OwnedFd },
    /// The child.
    Child,
}

/// clone3(2) with fork semantics (the memory is copied) and a pidfd; into `cgroup` where one is given (a cgroup v2 directory).
///
/// # Errors
///
/// Whatever the kernel says: EPERM and ENOSPC where user namespaces are switched off or used up, ENOSYS before Linux 5.3.
///
/// # Safety
///
/// The process must have one thread: the child holds a copy of every lock in the state it was in, and only the
/// calling thread goes on in it.
pub(crate) unsafe fn clone3(
    namespaces: libc::c_int,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is a plain struct of integers for which all zeroes is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (namespaces | libc::CLONE_PIDFD) as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the arguments live through the call, their size is passed, no stack is shared; the caller promises one thread.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match result {
        -1 => Err(last_errno()),
        0 => Ok(Cloned::Child),
        pid => {
            let child = Pid::from_raw(pid as i32).ok_or(Errno::INVAL)?;
            // SAFETY: CLONE_PIDFD stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { child, pidfd })
        }
    }
}

/// The stack of a process that shares this one's memory: enough for some system calls and a signal frame.
#[repr(align(16))]
struct Stack([MaybeUninit<u8>; 32 * 1024]);

impl Stack {
    const UNUSED: Self = Self([MaybeUninit::uninit(); _]);

    /// Where it begins: stacks grow downwards.
    fn top(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr_range().end.cast()
    }
}

/// Starts a process that does nothing but be in new namespaces, until it is killed or this one ends. It shares this process's memory, so
/// nothing is copied; it has none of its descriptors, so that it holds no lock and no socket that outlives this process.
pub(crate) fn spawn_sleeper(namespaces: libc::c_int) -> Result<Pid, Errno> {
    extern "C" fn sleep_for_ever(parent: *mut libc::c_void) -> libc::c_int {
        let call = |number, first: usize, second: usize| {
            // SAFETY: none of the calls below takes a pointer that is not null, and none fails: errno is the parent's.
            unsafe { libc::syscall(number, first, second, 0usize, 0usize, 0usize) }
        };
        call(libc::SYS_close_range, 0, u32::MAX as usize);
        call(
            libc::SYS_prctl,
            libc::PR_SET_PDEATHSIG as usize,
            libc::SIGKILL as usize,
        );
        // It may have ended before it could be asked to say so.
        while call(libc::SYS_getppid, 0, 0) == parent.addr() as libc::c_long {
            call(libc::SYS_ppoll, 0, 0);
        }
        call(libc::SYS_exit, 0, 0);
        0
    }
    // Never freed: the process may be on it for a moment after it was killed. One a launch, as root, and untouched pages cost nothing.
    let top = Box::leak(Box::new(Stack::UNUSED)).top();
    let flags = namespaces | libc::CLONE_VM | libc::SIGCHLD;
    let parent = std::ptr::without_provenance_mut(std::process::id() as usize);
    // SAFETY: the stack is the sleeper's alone and outlives it; the function never returns and touches no memory but that stack.
    match unsafe { libc::clone(sleep_for_ever, top, flags, parent) } {
        -1 => Err(last_errno()),
        pid => Pid::from_raw(pid).ok_or(Errno::INVAL),
    }
}

/// Locks one byte of a file, which need not be that long, for as long as this open file lives; says whether it could be had.
///
/// The lock is one of the open file description (fcntl(2), F_OFD_SETLK): another one of the same process does not get it either.
///
/// # Errors
///
/// Whatever the kernel says, other than that somebody has it: ENOLCK where a file system has no locks.
pub fn lock_byte(file: impl AsFd, byte: u64) -> io::Result<bool> {
    let start = byte
        .try_into()
        .map_err(|_| io::Error::from(Errno::OVERFLOW))?;
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and the struct lives through the call, which only reads it.
    match unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(true),
        _ => match last_errno() {
            Errno::AGAIN | Errno::ACCESS => Ok(false),
            errno => Err(errno.into()),
        },
    }
}

/// fork(2): `None` in the child.
///
/// # Safety
///
/// As for [`clone3`].
pub(crate) unsafe fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the caller promises one thread.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Starts a child as vfork(2) does: it shares this process's memory, so that nothing is copied, and this process sleeps until the child has
/// executed another program or ended.
///
/// `become_it` runs in the child and returns only what kept it from executing another program; the child has ended then.
///
/// # Errors
///
/// What the kernel says to clone(2), or what `become_it` returned.
///
/// # Safety
///
/// The process must have one thread and block every signal; `become_it` must not panic, and what it changes in memory stays changed.
pub(crate) unsafe fn spawn(become_it: &mut dyn FnMut() -> Errno) -> Result<Pid, Errno> {
    struct Child<'a> {
        become_it: &'a mut dyn FnMut() -> Errno,
        failed: Option<Errno>,
    }
    extern "C" fn enter(child: *mut libc::c_void) -> libc::c_int {
        // SAFETY: it is the `Child` below, whose owner sleeps.
        let child = unsafe { &mut *child.cast::<Child<'_>>() };
        child.failed = Some((child.become_it)());
        exit_now(127)
    }
    let mut stack = Box::new(Stack::UNUSED);
    let mut child = Child {
        become_it,
        failed: None,
    };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack and `child` are the child's alone until this call returns, when it needs them no more; the rest the caller promises.
    let pid = match unsafe { libc::clone(enter, stack.top(), flags, (&raw mut child).cast()) } {
        -1 => return Err(last_errno()),
        pid => Pid::from_raw(pid).ok_or(Errno::INVAL)?,
    };
    child.failed.map_or(Ok(pid), Err)
}

/// mount_setattr(2) on the mount that `mount` is an open_tree or fsmount descriptor of.
///
/// `namespace` is the user namespace of an idmapped mount.
pub(crate) fn mount_set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    namespace: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    let attributes = libc::mount_attr {
        attr_set: set | namespace.map_or(0, |_| libc::MOUNT_ATTR_IDMAP),
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: the empty path and the attributes live through the call, and the size is the struct's own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Makes a terminal the controlling terminal of the calling session leader (TIOCSCTTY, ioctl_tty(2)).
pub(crate) fn set_controlling_terminal(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the ioctl takes an integer, no pointer.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Blocks every signal in the calling thread and returns a signalfd(2) that tells of SIGCHLD.
pub(crate) fn child_signals() -> Result<OwnedFd, Errno> {
    let mut all = signal_set();
    // SAFETY: `all` is a valid set.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: `all` is initialised; the old mask is not asked for.
    if unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) } != 0 {
        return Err(last_errno());
    }
    let mut children = signal_set();
    // SAFETY: `children` is a valid set, and SIGCHLD a valid signal.
    unsafe { libc::sigaddset(&raw mut children, libc::SIGCHLD) };
    // SAFETY: the set lives through the call; -1 asks for a new descriptor.
    let fd = unsafe {
        libc::signalfd(
            -1,
            &raw const children,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn signal_set() -> libc::sigset_t {
    // SAFETY: all zeroes is the empty set on Linux, and sigemptyset is not needed on top.
    unsafe { std::mem::zeroed() }
}

/// Blocks the signals by which a terminal or a supervisor asks a process to end: for one that ends when its parent says so. (A
/// supervisor signals all processes of a service at once.) They are blocked and not ignored, since [`reset_signals`] undoes that for programs.
pub(crate) fn block_requests_to_end() {
    let mut requests = signal_set();
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: `requests` is a valid set, and each a valid signal.
        unsafe { libc::sigaddset(&raw mut requests, signal) };
    }
    // SAFETY: `requests` is initialised; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const requests, std::ptr::null_mut()) };
}

/// Blocks no signal and gives SIGPIPE, which the Rust runtime ignores, its default action. What the caller ignores stays ignored (nohup(1)).
pub(crate) fn reset_signals() {
    // SAFETY: SIG_DFL is a valid disposition of a valid signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let none = signal_set();
    // SAFETY: `none` is initialised; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// kill(2), with a raw signal number, since real-time signals have no name; a negative `process` is a group.
pub(crate) fn kill(process: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill takes two integers.
    if unsafe { libc::kill(process, signal) } == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Loads a seccomp filter for the calling thread (seccomp(2)); `no_new_privs` must be set.
pub(crate) fn load_seccomp_filter(instructions: &[libc::sock_filter]) -> Result<(), Errno> {
    let length = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog {
        len: length,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its instructions live through the call; the kernel copies and does not write them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Strings as execve(2) takes them: an array of pointers that ends in null.
pub(crate) struct StringArray {
    pointers: Vec<*const libc::c_char>,
    /// What they point to.
    _strings: Vec<CString>,
}

impl From<Vec<CString>> for StringArray {
    fn from(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr());
        Self {
            pointers: pointers.chain([std::ptr::null()]).collect(),
            _strings: strings,
        }
    }
}

/// execve(2). Returns only if it failed.
pub(crate) fn execute(path: &CStr, arguments: &StringArray, environment: &StringArray) -> Errno {
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    // SAFETY: both arrays end in null, and their strings live through the call.
    unsafe { libc::execve(path.as_ptr(), arguments, environment) };
    last_errno()
}

/// Ends the calling process at once, without running destructors or exit handlers that belong to its parent's copy.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit never returns and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from 3 on that is not in `keep`.
pub(crate) fn close_all_except(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep
        .iter()
        .filter_map(|&fd| u32::try_from(fd).ok())
        .filter(|&fd| fd > 2)
        .collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if first < fd {
            // SAFETY: close_range takes integers; what it closes belongs to this process's copy of the parent's
            // descriptors, whose owners are never dropped here (the process ends by exec or _exit).
            unsafe {
                libc::syscall(
                    libc::SYS_close_range,
                    first,
                    fd.saturating_sub(u32::from(fd != u32::MAX)),
                    0,
                )
            };
        }
        first = fd.saturating_add(1);
    }
}

/// Takes a descriptor off the books of the parent's copy: used in a forked child, where the owner is never dropped.
pub(crate) fn duplicate_to(fd: impl AsFd, target: RawFd) -> Result<(), Errno> {
    // SAFETY: dup2 takes integers; `target` is one of 0, 1 and 2, which the caller of this function owns.
    if unsafe { libc::dup2(fd.as_fd().as_raw_fd(), target) } < 0 {
        Err(last_errno())
    } else {
        Ok(())
    }
}

/// The number of threads of this process.
pub(crate) fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Overwrites the arguments of this process's copy of the memory with zeroes: `/proc/PID/cmdline` can be read by everybody, whether
/// the process is dumpable or not (proc_pid_cmdline(5)).
///
/// Best effort: a kernel that hides where they are (a masked `/proc`) leaves them.
pub(crate) fn erase_arguments() {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted after the command, which may hold spaces: arg_start and arg_end are the 48th and 49th (proc_pid_stat(5)).
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return;
    };
    let mut fields = fields.split_whitespace().skip(45).map(str::parse::<usize>);
    let (Some(Ok(start)), Some(Ok(end))) = (fields.next(), fields.next()) else {
        return;
    };
    if start == 0 || end <= start {
        return;
    }
    // SAFETY: the kernel says that this range of the process's own stack holds its arguments. They are writable, and nothing in an
    // init reads them: it never asks for arguments and never returns to code that did.
    unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) };
}
