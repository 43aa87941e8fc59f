//! Debian packages.

use super::Apt;

#[test]
fn apt_packages_are_names_with_versions_architectures_or_suites() {
    taken!(Apt, "
        graphviz
        g++
        g++-12
        libstdc++-12-dev
        libstdc++6
        0ad
        7zip
        2ping
        python3.11
        libapt-pkg6.0
        libboost1.74-dev
        fonts-noto-cjk
        jq=1.6-2.1
        python3-pip=23.0.1+dfsg-1
        openssh-client=1:9.2p1-2+deb12u3
        libc6:i386
        libc6:amd64=2.36-9+deb12u9
        gcc:native
        qemu-user-static:any
        perl=5.36.0-7+deb12u1
        base-files=12.4+deb12u9
        linux-libc-dev:arm64
        bash=5.2.15-2+b7
        nodejs=18.19.0+dfsg-6~deb12u2
        git/bookworm-backports
        curl/stable
        libfoo:amd64/bookworm
        xz=2~rc1
    ", @r"
    graphviz: graphviz
    g++: g++
    g++-12: g++-12
    libstdc++-12-dev: libstdc++-12-dev
    libstdc++6: libstdc++6
    0ad: 0ad
    7zip: 7zip
    2ping: 2ping
    python3.11: python3.11
    libapt-pkg6.0: libapt-pkg6.0
    libboost1.74-dev: libboost1.74-dev
    fonts-noto-cjk: fonts-noto-cjk
    jq=1.6-2.1: jq | 1.6-2.1
    python3-pip=23.0.1+dfsg-1: python3-pip | 23.0.1+dfsg-1
    openssh-client=1:9.2p1-2+deb12u3: openssh-client | 1:9.2p1-2+deb12u3
    libc6:i386: libc6
    libc6:amd64=2.36-9+deb12u9: libc6 | 2.36-9+deb12u9
    gcc:native: gcc
    qemu-user-static:any: qemu-user-static
    perl=5.36.0-7+deb12u1: perl | 5.36.0-7+deb12u1
    base-files=12.4+deb12u9: base-files | 12.4+deb12u9
    linux-libc-dev:arm64: linux-libc-dev
    bash=5.2.15-2+b7: bash | 5.2.15-2+b7
    nodejs=18.19.0+dfsg-6~deb12u2: nodejs | 18.19.0+dfsg-6~deb12u2
    git/bookworm-backports: git
    curl/stable: curl
    libfoo:amd64/bookworm: libfoo
    xz=2~rc1: xz | 2~rc1
    ");
}

#[test]
fn apt_packages_are_no_options_patterns_or_requests_to_remove() {
    refused!(Apt, "
        -oDpkg::Options::=--force-all
        --allow-downgrades
        -t=unstable
        jq-
        g++-
        jq:amd64-
        jq-:amd64
        jq-=1.6
        jq=1.6-
        jq/stable-
        lib*
        python3-?
        kde-desktop^
        ^jq$
        ^jq
        [a-z]jq
        ~njq
        ?name(jq)
        ./jq.deb
        /tmp/jq.deb
        ../jq.deb
        http://evil.example/jq.deb
        jq vim
    ", @r#"
    -oDpkg::Options::=--force-all: begins with `-`, so that apt would read an option; options are not set here
    --allow-downgrades: begins with `-`, so that apt would read an option; options are not set here
    -t=unstable: begins with `-`, so that apt would read an option; options are not set here
    jq-: has a `-` at its end, which tells apt to remove the package
    g++-: has a `-` at its end, which tells apt to remove the package
    jq:amd64-: has a `-` at its end, which tells apt to remove the package
    jq-:amd64: has a `-` at its end, which tells apt to remove the package
    jq-=1.6: has a `-` at its end, which tells apt to remove the package
    jq=1.6-: has a `-` at its end, which tells apt to remove the package
    jq/stable-: has a `-` at its end, which tells apt to remove the package
    lib*: holds '*', so that apt would read a pattern; name each package
    python3-?: holds '?', one of a shell's characters, of which a spec has none
    kde-desktop^: holds '^', so that apt would read a pattern; name each package
    ^jq$: holds '$', one of a shell's characters, of which a spec has none
    ^jq: holds '^', so that apt would read a pattern; name each package
    [a-z]jq: holds '[', so that apt would read a pattern; name each package
    ~njq: is a path; a package is named, and comes from the registries
    ?name(jq): holds '?', one of a shell's characters, of which a spec has none
    ./jq.deb: is a path; a package is named, and comes from the registries
    /tmp/jq.deb: is a path; a package is named, and comes from the registries
    ../jq.deb: is a path; a package is named, and comes from the registries
    http://evil.example/jq.deb: holds a URL; apt packages come from its registries, where they have names and versions
    jq vim: holds white space; write one package an entry, and its version without spaces
    "#);
}

#[test]
fn apt_packages_are_no_files_and_have_debian_versions() {
    refused!(Apt, "
        jq;reboot
        jq&&id
        $(id)
        `id`
        JQ
        j
        +jq
        lib_foo
        jq=
        jq==1.6
        jq=v1.6
        jq=1.6/stable
        jq=a:1.6
        jq=1_6
        jq:
        jq:AMD64
        jq:amd64:i386
        jq/
        jq/stable/main
        jq/Debian:12
        jq@1.6
        jq>=1.6
        jq..x
        jq,vim
    ", @r#"
    jq;reboot: holds ';', one of a shell's characters, of which a spec has none
    jq&&id: holds '&', one of a shell's characters, of which a spec has none
    $(id): holds '$', one of a shell's characters, of which a spec has none
    `id`: holds '`', one of a shell's characters, of which a spec has none
    JQ: has the name "JQ"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    j: has the name "j"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    +jq: has the name "+jq"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    lib_foo: has the name "lib_foo"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    jq=: ends in '='; write the version behind it, or leave it out
    jq==1.6: has the version "=1.6"; a Debian version is `[EPOCH:]UPSTREAM[-REVISION]`, its upstream part begins with a digit, and it has letters, digits, `.`, `+`, `~` and `-`
    jq=v1.6: has the version "v1.6"; a Debian version is `[EPOCH:]UPSTREAM[-REVISION]`, its upstream part begins with a digit, and it has letters, digits, `.`, `+`, `~` and `-`
    jq=1.6/stable: has the version "1.6/stable"; a Debian version is `[EPOCH:]UPSTREAM[-REVISION]`, its upstream part begins with a digit, and it has letters, digits, `.`, `+`, `~` and `-`
    jq=a:1.6: has the version "a:1.6"; a Debian version is `[EPOCH:]UPSTREAM[-REVISION]`, its upstream part begins with a digit, and it has letters, digits, `.`, `+`, `~` and `-`
    jq=1_6: has the version "1_6"; a Debian version is `[EPOCH:]UPSTREAM[-REVISION]`, its upstream part begins with a digit, and it has letters, digits, `.`, `+`, `~` and `-`
    jq:: has the architecture ""; one is written like `amd64`, `any` or `native`
    jq:AMD64: has the architecture "AMD64"; one is written like `amd64`, `any` or `native`
    jq:amd64:i386: has the architecture "amd64:i386"; one is written like `amd64`, `any` or `native`
    jq/: has the suite ""; one is written like `bookworm-backports`
    jq/stable/main: has the suite "stable/main"; one is written like `bookworm-backports`
    jq/Debian:12: has the suite "Debian:12"; one is written like `bookworm-backports`
    jq@1.6: has the name "jq@1.6"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    jq>=1.6: has the name "jq>"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    jq..x: holds `..`, which is no part of a name or a version
    jq,vim: has the name "jq,vim"; a Debian package has two or more of a-z, 0-9, `+`, `-` and `.`, the first a letter or digit
    "#);
}
