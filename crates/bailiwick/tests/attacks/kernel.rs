//! What a program asks of the kernel: system calls, /proc, other processes.

use bailiwick_testkit::{LeakCheck, User};

use crate::support::{
    PYTHON, everyone_as_anyone, host_command, inside, outside, run_as, with_options,
};

/// Calls with arguments that do nothing where the call exists: a bad address, a bad descriptor, no such process.
const CALLS: &str = r#"
    nobody, bad = 0x3fffffff, -1
    calls = dict(
        setns=(308, bad, 0), clone_user=(56, 0x10000011, 0, 0, 0, 0),
        clone_high_bits=(56, (1 << 32) | 0x10000011, 0, 0, 0, 0), clone3=(435, 0, 0), ptrace=(101, 16, nobody, 0, 0), vm_read=(310, nobody, 0, 0, 0, 0, 0), vm_write=(311, nobody, 0, 0, 0, 0, 0),
        mount=(165, 0, 0, 0, 0, 0), umount=(166, 0, 0), pivot_root=(155, 0, 0), open_tree=(428, bad, 0, 0), move_mount=(429, bad, 0, bad, 0, 0), fsopen=(430, 0, 0), mount_setattr=(442, bad, 0, 0, 0, 0),
        open_by_handle=(304, bad, 0, 0), fanotify=(300, bad, 0), bpf=(321, 99, 0, 0), perf=(298, 0, 0, 0, 0, 0), userfaultfd=(323, bad), io_uring=(425, 1, 0), io_uring_enter=(426, bad, 0, 0, 0, 0, 0),
        keyctl=(250, 0, -3, 0), add_key=(248, 0, 0, 0, 0, 0), request_key=(249, 0, 0, 0, 0), pidfd_getfd=(438, bad, 0, 0), kcmp=(312, nobody, nobody, 0, 0, 0), init_module=(175, 0, 0, 0),
        finit_module=(313, bad, 0, 0), kexec=(246, 0, 0, 0, 0xffff), reboot=(169, 1, 2, 3, 0), swapon=(167, 0, 0), settimeofday=(164, 1, 0), clock_settime=(227, 99, 0), sethostname=(170, 1, -1),
        acct=(163, 1), syslog=(103, 99, 0, 0), quotactl=(179, bad, 0, 0, 0), modify_ldt=(154, 0, 0, 0), x32=((1 << 30) | 39,), open_namespace_ids=(457, 0, 0, 0), memfd_secret=(447, 0xffff),
        # At the end, since who succeeds has fewer rights afterwards.
        unshare_net=(272, 0x40000000), unshare_mount=(272, 0x20000), unshare_user=(272, 0x10000000),
    )
    for name, (number, *arguments) in calls.items():
        tell(name, lambda: syscall(number, *arguments))
    tell("control", lambda: syscall(39) > 0)
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn system_calls_that_lead_out_are_refused_to_everybody() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let told = inside(run_as(&bailiwick, options), CALLS);
        told.said("control", "ok True")
            .all_failed_but(&["control"], &["EPERM", "ENOSYS"]);
        // The control: on the host each is answered, and by something else.
        if bailiwick.user().is_root() {
            // Not built into every kernel.
            let missing: &[&str] = &[
                "x32",
                "memfd_secret",
                "open_namespace_ids",
                "finit_module",
                "init_module",
                "kexec",
            ];
            let host = outside(
                &bailiwick,
                &CALLS
                    .replace("clone_user=(56, 0x10000011, 0, 0, 0, 0),", "")
                    .replace(
                        "clone_high_bits=(56, (1 << 32) | 0x10000011, 0, 0, 0, 0), ",
                        "",
                    ),
            );
            for name in host.names().filter(|name| !missing.contains(name)) {
                assert!(
                    !matches!(host.answer(name), "ENOSYS" | "EPERM"),
                    "the control of {name}: {host:?}"
                );
            }
        }
    }
}

#[test]
fn no_socket_reaches_around_the_internet_protocols() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        def make(family, kind, protocol=0):
            os.close(syscall(41, family, kind, protocol))
        for name, family in dict(packet=17, vsock=40, alg=38, xdp=44, bluetooth=31, can=29, tipc=30, rds=21, kcm=41, qipcrtr=42, smc=43, mctp=45, x25=9, ax25=3, appletalk=5, llc=26, key=15, nfc=39).items():
            for kind in [1, 2, 3, 5]:
                tell(f"{name} {kind}", lambda: make(family, kind))
                tell(f"{name} {kind} with high bits", lambda: make((1 << 32) | family, kind))
        for name, kind in dict(raw=3, raw_nonblocking=0x803, raw_cloexec=0x80003, raw_both=0x80803, raw_high_bits=(1 << 32) | 3).items():
            for family in [2, 10]:
                tell(f"{name} {family}", lambda: make(family, kind, 1))
        for protocol in [1, 4, 6, 9, 10, 12, 15, 16, 18, 20, 21]:
            tell(f"netlink {protocol}", lambda: make(16, 3, protocol))
        for name, kind in dict(packet=10, packet_nonblocking=0x80a, packet_cloexec=0x8000a, packet_both=0x8080a, packet_high_bits=(1 << 32) | 10).items():
            tell(f"old {name}", lambda: make(2, kind, 0x300))
        tell("sctp", lambda: make(2, 1, 132))
        tell("ping", lambda: make(2, 2, 1))
        for name, family, kind in [("stream", 2, 1), ("datagram", 10, 2), ("unix", 1, 1), ("route", 16, 3)]:
            tell(f"control {name}", lambda: make(family, kind))
    "#;
    for (bailiwick, options) in everyone_as_anyone() {
        let told = inside(run_as(&bailiwick, options), probe);
        let controls = [
            "control stream",
            "control datagram",
            "control unix",
            "control route",
        ];
        controls.iter().for_each(|name| {
            told.worked(name);
        });
        // By the filter: without it, it would be EPERM for want of a capability.
        for name in [
            "packet",
            "packet_nonblocking",
            "packet_cloexec",
            "packet_both",
        ] {
            told.failed(&format!("old {name}"), &["EAFNOSUPPORT"]);
        }
        told.all_failed_but(
            &controls,
            &[
                "EAFNOSUPPORT",
                "EPERM",
                "EACCES",
                "EPROTONOSUPPORT",
                "ESOCKTNOSUPPORT",
            ],
        );
        if bailiwick.user().is_root() {
            outside(&bailiwick, probe)
                .worked("packet 3")
                .worked("raw 2")
                .worked("netlink 12");
        }
    }
}

#[test]
fn the_network_of_a_sandbox_cannot_be_changed_from_inside() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        def netlink(kind, body, flags=0x605):
            sender = socket.socket(socket.AF_NETLINK, SOCK_RAW, 0)
            sender.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
            code = struct.unpack("=i", sender.recv(65536)[16:20])[0]
            if code: raise OSError(-code, "")
        link = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
        def attribute(kind, data):
            return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)
        for kind in [b"veth", b"dummy", b"bridge", b"tun", b"wireguard", b"ipip"]:
            tell(f"new {kind.decode()}", lambda: netlink(16, link + attribute(3, b"evil0\0") + attribute(18, attribute(1, kind))))
        tell("lo down", lambda: netlink(16, struct.pack("=BxHiII", 0, 0, 1, 0, 1), 5))
        tell("address", lambda: netlink(20, struct.pack("=BBBBI", 2, 24, 0, 0, 1) + attribute(2, b"\xc0\0\2\2")))
        tell("route", lambda: netlink(24, struct.pack("=8BI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + attribute(4, struct.pack("=I", 1))))
        tell("delete route", lambda: netlink(25, struct.pack("=8BI", 2, 0, 0, 0, 255, 0, 0, 2, 0), 5))
        tell("rule", lambda: netlink(32, struct.pack("=8BI", 2, 0, 0, 0, 254, 0, 0, 1, 0)))
        tell("nftables", lambda: socket.socket(socket.AF_NETLINK, SOCK_RAW, 12))
        tell("tun", lambda: os.open("/dev/net/tun", os.O_RDWR))
        tell("admin ioctl", lambda: fcntl.ioctl(socket.socket(AF_INET, SOCK_DGRAM), 0x8914, struct.pack("16sH14x", b"lo", 0)))
        tell("iptables", lambda: socket.socket(AF_INET, SOCK_STREAM).setsockopt(socket.IPPROTO_IP, 64, b"x" * 100))
        for path in ["ipv4/ip_forward", "ipv4/conf/all/route_localnet", "ipv4/ping_group_range", "ipv4/ip_unprivileged_port_start", "ipv6/conf/all/forwarding", "netfilter/nf_conntrack_max"]:
            tell(path, lambda: os.open(f"/proc/sys/net/{path}", os.O_WRONLY))
        tell("control interfaces", lambda: [name for _, name in socket.if_nameindex()])
        tell("control read", lambda: os.path.exists("/proc/sys/net/ipv4/ip_forward"))
    "#;
    for (bailiwick, options) in everyone_as_anyone() {
        let told = inside(run_as(&bailiwick, options), probe);
        told.said("control interfaces", "ok ['lo']")
            .said("control read", "ok True");
        told.all_failed_but(
            &["control interfaces", "control read"],
            &[
                "EPERM",
                "EACCES",
                "EROFS",
                "ENOENT",
                "EAFNOSUPPORT",
                "EOPNOTSUPP",
            ],
        );
    }
    // The control: root in a network namespace of its own can.
    if User::current().is_root() {
        let mut namespace = host_command("unshare", User::current());
        let output = namespace
            .args(["-n", PYTHON, "-c", &crate::support::with_prelude(probe)])
            .output()
            .expect("unshare");
        crate::support::told(&String::from_utf8_lossy(&output.stdout))
            .worked("lo down")
            .worked("nftables")
            .worked("admin ioctl")
            .worked("ipv4/ip_forward");
    }
}

#[test]
fn the_first_process_shows_and_gives_nothing() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        for name in ["environ", "maps", "mem", "auxv", "stack", "syscall", "personality", "io", "pagemap", "smaps"]:
            tell(name, lambda: os.read(os.open(f"/proc/1/{name}", os.O_RDONLY), 10).hex())
        for name in ["exe", "cwd", "root", "ns/net", "ns/user", "fd/0"]:
            tell(name, lambda: os.readlink(f"/proc/1/{name}"))
            tell(f"open {name}", lambda: os.open(f"/proc/1/{name}", os.O_RDONLY))
        tell("through root", lambda: os.stat("/proc/1/root/etc/shadow").st_size)
        tell("descriptors", lambda: os.listdir("/proc/1/fd"))
        tell("tasks", lambda: os.readlink("/proc/1/task/1/cwd"))
        tell("map_files", lambda: os.listdir("/proc/1/map_files"))
        tell("write exe", lambda: os.open("/proc/1/exe", os.O_WRONLY))
        tell("write mem", lambda: os.open("/proc/1/mem", os.O_RDWR))
        tell("out of memory score", lambda: os.write(os.open("/proc/1/oom_score_adj", os.O_WRONLY), b"1000"))
        tell("comm", lambda: os.write(os.open("/proc/1/comm", os.O_WRONLY), b"x"))
        tell("attr", lambda: os.write(os.open("/proc/1/attr/current", os.O_WRONLY), b"x"))
        tell("control own", lambda: len(os.readlink("/proc/self/exe")) > 0 and len(open("/proc/self/maps").read()) > 0)
        tell("control arguments", lambda: open("/proc/1/cmdline", "rb").read().replace(b"\0", b"").replace(b" ", b"").decode())
        tell("control environment", lambda: sorted(name for name in os.environ if "SECRET" in name or name == "PASSED"))
        for number in [9, 15, 19, 11, 2]:
            tell(f"control signal {number}", lambda: os.kill(1, number))
    "#;
    for (bailiwick, options) in everyone_as_anyone() {
        let run = bailiwick
            .run()
            .host_variable("SECRET_TOKEN", "hunter2")
            .host_variable("AWS_SECRET_ACCESS_KEY", "x");
        let run = run
            .option("-e")
            .option("PASSED=hunter3")
            .option("--upstream-proxy")
            .option("http://user:hunter4@127.0.0.1:1");
        let told = inside(with_options(run, options), probe);
        told.said("control own", "ok True")
            .said("control environment", "ok ['PASSED']")
            .said("control arguments", "ok ");
        for name in told.names().filter(|name| !name.starts_with("control")) {
            told.failed(
                name,
                &["EACCES", "EPERM", "ENOENT", "EROFS", "EIO", "EINVAL"],
            );
        }
    }
}

/// What changes the machine when it is written to.
const SETTINGS: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/proc/bus/pci/devices",
    "/proc/kcore",
    "/proc/kallsyms",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/power/state",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/sda",
    "/dev/vda",
    "/dev/fuse",
    "/dev/vsock",
    "/dev/vhost-net",
];

#[test]
fn settings_of_the_machine_cannot_be_changed() {
    let _leaks = LeakCheck::begin();
    let probe = format!(
        r#"
        for path in {SETTINGS:?}:
            tell(path, lambda: os.open(path, os.O_WRONLY))
        tell("device", lambda: os.mknod("/tmp/device", stat.S_IFBLK | 0o666, os.makedev(254, 0)))
        tell("device in the work directory", lambda: os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 1)))
        tell("keys", lambda: open("/proc/keys").read()[0])
        tell("kernel log", lambda: len(open("/proc/kmsg").read(1)))
        tell("kernel memory", lambda: os.read(os.open("/proc/kcore", os.O_RDONLY), 4).decode() or None.x)
        tell("remount", lambda: LIBC.mount(0, b"/proc/sys", 0, 4096 | 32, 0) and syscall(165, 0, b"/proc/sys", 0, 4128, 0))
        tell("cgroup mount", lambda: syscall(165, b"cgroup", b"/mnt", b"cgroup2", 0, 0))
        tell("proc mount", lambda: syscall(165, b"proc", b"/mnt", b"proc", 0, 0))
        tell("control null", lambda: os.open("/dev/null", os.O_WRONLY))
        tell("control fifo", lambda: os.mkfifo("/tmp/fifo"))
        tell("control own file", lambda: os.open("/tmp/file", os.O_WRONLY | os.O_CREAT))
        tell("control read", lambda: len(open("/proc/sys/kernel/osrelease").read()) > 0)
    "#
    );
    for (bailiwick, options) in everyone_as_anyone() {
        let told = inside(run_as(&bailiwick, options), &probe);
        for name in told.names().filter(|name| name.starts_with("control")) {
            told.worked(name);
        }
        for name in told.names().filter(|name| !name.starts_with("control")) {
            told.failed(
                name,
                &[
                    "EACCES",
                    "EPERM",
                    "EROFS",
                    "ENOENT",
                    "EISDIR",
                    "AttributeError",
                    "IndexError",
                    "EINVAL",
                    "EIO",
                ],
            );
        }
        if bailiwick.user().is_root() {
            outside(
                &bailiwick,
                "tell('core', lambda: os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY))",
            )
            .worked("core");
        }
    }
}

#[test]
fn processes_of_the_host_are_neither_seen_nor_signalled() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let mut victim = host_command("sleep", bailiwick.user());
        let mut victim = victim.arg("1000").spawn().expect("sleep");
        let probe = format!(
            r#"
            victim = {}
            tell("signal", lambda: os.kill(victim, 0))
            tell("kill", lambda: os.kill(victim, 15))
            tell("group", lambda: os.killpg(victim, 0))
            tell("parent", lambda: os.kill(os.getppid(), 0) if os.getppid() > 1 else None.x)
            tell("descriptor", lambda: os.pidfd_open(victim))
            tell("environment", lambda: open(f"/proc/{{victim}}/environ").read())
            tell("priority", lambda: os.setpriority(os.PRIO_PROCESS, victim, 10))
            tell("limits", lambda: __import__("resource").prlimit(victim, 7))
            tell("affinity", lambda: os.sched_setaffinity(victim, [0]))
        "#,
            victim.id()
        );
        let told = inside(
            run_as(&bailiwick, options),
            &probe.replace("kill(victim, 15)", "kill(victim, 18)"),
        );
        told.all_failed_but(
            &[],
            &["ESRCH", "ENOENT", "EPERM", "EINVAL", "AttributeError"],
        );
        outside(
            &bailiwick,
            &probe.replace("kill(victim, 15)", "kill(victim, 18)"),
        )
        .worked("signal")
        .worked("environment")
        .worked("limits")
        .worked("affinity");
        let everything = bailiwick
            .run()
            .script("kill -9 -1; kill -STOP 1; kill -9 1; (kill -9 0 &) ; echo unreachable");
        assert!(
            everything.code == 137 || everything.code == 0,
            "{everything:?}"
        );
        assert_eq!(victim.try_wait().unwrap(), None, "a signal got out");
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
}
