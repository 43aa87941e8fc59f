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
        x=0
        xz=2~rc1
    ".replace("        x=0\n", "").as_str(), @"");
}

#[test]
fn apt_packages_are_no_options_files_patterns_or_requests_to_remove() {
    refused!(Apt, "
        -oDpkg::Options::=--force-all
        --allow-downgrades
        -t=unstable
        jq-
        g++-
        jq:amd64-
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
    ", @"");
}
