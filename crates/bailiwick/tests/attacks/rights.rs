//! Rights that a file or another instruction set could bring along.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use bailiwick_testkit::{Bailiwick, LeakCheck, User};

use crate::support::{everyone, everyone_as_anyone, host_command, inside, outside, run_as};

#[test]
fn rights_of_a_program_file_are_not_taken_on() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let program = compiled(
            &bailiwick,
            "setuid",
            "#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf(\"%d\\n\", (int)geteuid()); }\n",
        );
        if User::current().is_root() {
            chown(&program, Some(0), Some(0)).unwrap();
        }
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
        let plain = bailiwick.run().script("id -u").stdout;
        let run = || run_as(&bailiwick, options);
        if options.is_empty() {
            assert_eq!(run().script("./setuid").success().stdout, plain);
        }
        let told = inside(
            run(),
            r#"
            base = [path for path in ["/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/sudo"] if os.path.exists(path)]
            tell("nosuid", lambda: all(os.statvfs(path).f_flag & os.ST_NOSUID for path in base + ["/workspace", "/tmp", "/home/agent", "/dev/shm", "/"]))
            tell("no new privileges", lambda: LIBC.prctl(39, 0, 0, 0, 0))
            tell("give up no new privileges", lambda: LIBC.prctl(38, 0, 0, 0, 0))
            tell("ambient", lambda: LIBC.prctl(47, 2, 21, 0, 0))
            tell("file capability", lambda: os.setxattr("/tmp", "security.capability", b"\1\0\0\2\0\0\x20\0" + b"\0" * 12))
        "#,
        );
        told.said("nosuid", "ok True")
            .said("no new privileges", "ok 1")
            .said("give up no new privileges", "ok -1")
            .said("ambient", "ok -1")
            .failed("file capability", &["EPERM"]);
        let control = host_command(program.to_str().unwrap(), User::ordinary())
            .output()
            .unwrap();
        if User::current().is_root() {
            assert_eq!(
                String::from_utf8_lossy(&control.stdout),
                "0\n",
                "control: outside the bit counts"
            );
        }
    }
}

#[test]
fn setuid_bits_cannot_be_made() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        os.umask(0)
        open("file", "w").close()
        descriptor = os.open("file", os.O_RDWR)
        for bits in [0o4755, 0o2755, 0o6777]:
            tell(f"chmod {bits:o}", lambda: os.chmod("file", bits))
            tell(f"fchmod {bits:o}", lambda: os.fchmod(descriptor, bits))
            tell(f"fchmodat {bits:o}", lambda: os.chmod("file", bits, dir_fd=os.open(".", os.O_RDONLY)))
            tell(f"fchmodat2 {bits:o}", lambda: syscall(452, -100, b"file", bits, 0))
            tell(f"type bits {bits:o}", lambda: os.chmod("file", 0o100000 | bits))
            tell(f"high bits {bits:o}", lambda: syscall(90, b"file", (1 << 32) | bits))
            tell(f"open {bits:o}", lambda: os.open(f"o{bits:o}", os.O_CREAT | os.O_RDWR, bits))
            tell(f"old open {bits:o}", lambda: syscall(2, f"oo{bits:o}".encode(), 0o102, bits))
            tell(f"creat {bits:o}", lambda: syscall(85, f"c{bits:o}".encode(), bits))
            tell(f"nameless {bits:o}", lambda: os.open(".", os.O_TMPFILE | os.O_RDWR, bits))
            tell(f"mknod {bits:o}", lambda: os.mknod(f"n{bits:o}", stat.S_IFREG | bits))
            tell(f"openat2 {bits:o}", lambda: syscall(437, -100, b"o2", struct.pack("=QQQ", 0o102, bits, 0), 24))
            tell(f"mkdir {bits:o}", lambda: syscall(83, f"d{bits:o}".encode(), bits))
        tell("control chmod", lambda: os.chmod("file", 0o755))
        tell("control open", lambda: os.open("plain", os.O_CREAT | os.O_RDWR, 0o755))
        tell("control sticky", lambda: os.mkdir("sticky") or os.chmod("sticky", 0o1777))
        tell("control bits", lambda: [name for name in os.listdir(".") if os.lstat(name).st_mode & 0o6000])
    "#;
    for (bailiwick, options) in everyone_as_anyone() {
        let told = inside(run_as(&bailiwick, options), probe);
        told.said("control bits", "ok []")
            .worked("control chmod")
            .worked("control open")
            .worked("control sticky");
        for name in told.names().filter(|name| !name.starts_with("control")) {
            told.failed(name, &["EPERM", "ENOSYS"]);
        }
        fs::remove_dir_all(bailiwick.workspace().join("sticky")).unwrap();
        outside(&bailiwick, probe)
            .worked("chmod 4755")
            .worked("creat 6777")
            .worked("nameless 4755");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_calls_of_another_architecture_are_no_way_around_the_filter() {
    let _leaks = LeakCheck::begin();
    // 20 is getpid of the 32-bit table, 310 is unshare there.
    let source = "#include <stdio.h>\nint main(void) { long r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20)); printf(\"%ld\\n\", r); return r > 0 ? 0 : 1; }\n";
    for bailiwick in everyone() {
        let program = compiled(&bailiwick, "thirty-two", source);
        let outcome = bailiwick.run().command(["./thirty-two"]);
        assert!(
            outcome.code != 0
                && !outcome
                    .stdout
                    .starts_with(|c: char| c.is_ascii_digit() && c != '0'),
            "{outcome:?}"
        );
        assert!(
            host_command(program.to_str().unwrap(), bailiwick.user())
                .status()
                .unwrap()
                .success(),
            "control"
        );
    }
}

/// Compiles a C program into the work directory.
fn compiled(bailiwick: &Bailiwick, name: &str, source: &str) -> std::path::PathBuf {
    let source = bailiwick.write(format!("{name}.c"), source);
    let program = bailiwick.workspace().join(name);
    let output = host_command("gcc", bailiwick.user())
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .env("TMPDIR", bailiwick.home())
        .output()
        .expect("gcc");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}
