//! Programs of Go modules.

use super::Go;

#[test]
fn go_packages_are_paths_with_a_version_a_branch_or_a_commit() {
    taken!(Go, "
        golang.org/x/tools/cmd/goimports@latest
        golang.org/x/tools/gopls
        golang.org/x/vuln/cmd/govulncheck@v1.1.3
        github.com/golangci/golangci-lint/cmd/golangci-lint@v1.62.2
        github.com/BurntSushi/toml/v2@v2.0.0-20200101000000-abcdefabcdef
        github.com/BurntSushi/toml/cmd/tomlv@v1.4.0
        github.com/go-delve/delve/cmd/dlv@master
        github.com/mikefarah/yq/v4@v4
        github.com/mikefarah/yq/v4@v4.44
        gopkg.in/yaml.v3@v3.0.1
        gopkg.in/src-d/go-git.v4@v4.13.1
        k8s.io/kubectl/cmd/kubectl@v0.31.3
        sigs.k8s.io/kind@v0.25.0
        sigs.k8s.io/controller-tools/cmd/controller-gen@v0.16.5
        google.golang.org/protobuf/cmd/protoc-gen-go@v1.35.2
        google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
        github.com/docker/docker@v27.3.1+incompatible
        github.com/x/y@abcdefa
        github.com/x/y@0123456789abcdef0123456789abcdef01234567
        github.com/x/y@release-1.2_x
        honnef.co/go/tools/cmd/staticcheck@2024.1.1
        mvdan.cc/gofumpt@v0.7.0
        git.sr.ht/~emersion/soju@v0.8.2
        rsc.io/2fa@latest
        xn--bcher-kva.example/tool
        github.com/x/c++filt
        github.com/uber-go/mock_gen/cmd/mockgen@v0.0.0-20240101000000-0123456789ab
        go.uber.org/mock/mockgen@main
    ", @r"
    golang.org/x/tools/cmd/goimports@latest: golang.org/x/tools/cmd/goimports | latest
    golang.org/x/tools/gopls: golang.org/x/tools/gopls
    golang.org/x/vuln/cmd/govulncheck@v1.1.3: golang.org/x/vuln/cmd/govulncheck | v1.1.3
    github.com/golangci/golangci-lint/cmd/golangci-lint@v1.62.2: github.com/golangci/golangci-lint/cmd/golangci-lint | v1.62.2
    github.com/BurntSushi/toml/v2@v2.0.0-20200101000000-abcdefabcdef: github.com/BurntSushi/toml/v2 | v2.0.0-20200101000000-abcdefabcdef
    github.com/BurntSushi/toml/cmd/tomlv@v1.4.0: github.com/BurntSushi/toml/cmd/tomlv | v1.4.0
    github.com/go-delve/delve/cmd/dlv@master: github.com/go-delve/delve/cmd/dlv | master
    github.com/mikefarah/yq/v4@v4: github.com/mikefarah/yq/v4 | v4
    github.com/mikefarah/yq/v4@v4.44: github.com/mikefarah/yq/v4 | v4.44
    gopkg.in/yaml.v3@v3.0.1: gopkg.in/yaml.v3 | v3.0.1
    gopkg.in/src-d/go-git.v4@v4.13.1: gopkg.in/src-d/go-git.v4 | v4.13.1
    k8s.io/kubectl/cmd/kubectl@v0.31.3: k8s.io/kubectl/cmd/kubectl | v0.31.3
    sigs.k8s.io/kind@v0.25.0: sigs.k8s.io/kind | v0.25.0
    sigs.k8s.io/controller-tools/cmd/controller-gen@v0.16.5: sigs.k8s.io/controller-tools/cmd/controller-gen | v0.16.5
    google.golang.org/protobuf/cmd/protoc-gen-go@v1.35.2: google.golang.org/protobuf/cmd/protoc-gen-go | v1.35.2
    google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1: google.golang.org/grpc/cmd/protoc-gen-go-grpc | v1.5.1
    github.com/docker/docker@v27.3.1+incompatible: github.com/docker/docker | v27.3.1+incompatible
    github.com/x/y@abcdefa: github.com/x/y | abcdefa
    github.com/x/y@0123456789abcdef0123456789abcdef01234567: github.com/x/y | 0123456789abcdef0123456789abcdef01234567
    github.com/x/y@release-1.2_x: github.com/x/y | release-1.2_x
    honnef.co/go/tools/cmd/staticcheck@2024.1.1: honnef.co/go/tools/cmd/staticcheck | 2024.1.1
    mvdan.cc/gofumpt@v0.7.0: mvdan.cc/gofumpt | v0.7.0
    git.sr.ht/~emersion/soju@v0.8.2: git.sr.ht/~emersion/soju | v0.8.2
    rsc.io/2fa@latest: rsc.io/2fa | latest
    xn--bcher-kva.example/tool: xn--bcher-kva.example/tool
    github.com/x/c++filt: github.com/x/c++filt
    github.com/uber-go/mock_gen/cmd/mockgen@v0.0.0-20240101000000-0123456789ab: github.com/uber-go/mock_gen/cmd/mockgen | v0.0.0-20240101000000-0123456789ab
    go.uber.org/mock/mockgen@main: go.uber.org/mock/mockgen | main
    ");
}

#[test]
fn go_packages_are_no_options_or_patterns() {
    refused!(Go, "
        -modfile=/etc/passwd
        -toolexec=/bin/sh
        --
        .
        ./...
        ./cmd/tool
        ../tool
        /go/src/tool
        ~/tool
        github.com/x/...
        github.com/x/y/...@latest
        github.com/x/../y
        github.com/x/./y
        github.com//y
        github.com/x/
        github.com/x/y.
        github.com/x/.git
        github.com/-x/y
        all
        std
        cmd
    ", @r#"
    -modfile=/etc/passwd: begins with `-`, so that go would read an option; options are not set here
    -toolexec=/bin/sh: begins with `-`, so that go would read an option; options are not set here
    --: begins with `-`, so that go would read an option; options are not set here
    .: is a path; a package is named, and comes from the registries
    ./...: is a path; a package is named, and comes from the registries
    ./cmd/tool: is a path; a package is named, and comes from the registries
    ../tool: is a path; a package is named, and comes from the registries
    /go/src/tool: is a path; a package is named, and comes from the registries
    ~/tool: is a path; a package is named, and comes from the registries
    github.com/x/...: holds `..`, which is no part of a name or a version
    github.com/x/y/...@latest: holds `..`, which is no part of a name or a version
    github.com/x/../y: holds `..`, which is no part of a name or a version
    github.com/x/./y: has the path element "."; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    github.com//y: has the path element ""; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    github.com/x/: has the path element ""; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    github.com/x/y.: has the path element "y."; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    github.com/x/.git: has the path element ".git"; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    github.com/-x/y: has the path element "-x"; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    all: begins with "all", which is no host; a Go path begins with one in lower case, such as `github.com/`
    std: begins with "std", which is no host; a Go path begins with one in lower case, such as `github.com/`
    cmd: begins with "cmd", which is no host; a Go path begins with one in lower case, such as `github.com/`
    "#);
}

#[test]
fn go_packages_are_no_folders() {
    refused!(Go, "
        fmt
        net/http
        localhost/x
        GitHub.com/x/y
        -github.com/x/y
        github.com:22/x/y
        git@github.com:x/y
        https://github.com/x/y
        github.com/x/y@
        github.com/x/y@-v1
        github.com/x/y@latest@v1
        github.com/x/y@release/1.2
        github.com/x/y@>=v1.2
        github.com/x/y@v1..v2
        github.com/x/y@latest;id
        github.com/x/y latest
        github.com/x/y@$(id)
        github.com/x/y?go-get=1
        github.com/x/y#readme
        github.com/x/y*
        github.com/x/y%2f
        @latest
    ", @r#"
    fmt: begins with "fmt", which is no host; a Go path begins with one in lower case, such as `github.com/`
    net/http: begins with "net", which is no host; a Go path begins with one in lower case, such as `github.com/`
    localhost/x: begins with "localhost", which is no host; a Go path begins with one in lower case, such as `github.com/`
    GitHub.com/x/y: begins with "GitHub.com", which is no host; a Go path begins with one in lower case, such as `github.com/`
    -github.com/x/y: begins with `-`, so that go would read an option; options are not set here
    github.com:22/x/y: begins with "github.com:22", which is no host; a Go path begins with one in lower case, such as `github.com/`
    git@github.com:x/y: begins with "git", which is no host; a Go path begins with one in lower case, such as `github.com/`
    https://github.com/x/y: holds a URL; go packages come from its registries, where they have names and versions
    github.com/x/y@: ends in '@'; write the version behind it, or leave it out
    github.com/x/y@-v1: has the version "-v1"; a Go version is `latest`, a tag such as `v1.2.3`, a branch or a commit, in letters, digits, `.`, `-`, `_` and `+`
    github.com/x/y@latest@v1: has the version "latest@v1"; a Go version is `latest`, a tag such as `v1.2.3`, a branch or a commit, in letters, digits, `.`, `-`, `_` and `+`
    github.com/x/y@release/1.2: has the version "release/1.2"; a Go version is `latest`, a tag such as `v1.2.3`, a branch or a commit, in letters, digits, `.`, `-`, `_` and `+`
    github.com/x/y@>=v1.2: has the version ">=v1.2"; a Go version is `latest`, a tag such as `v1.2.3`, a branch or a commit, in letters, digits, `.`, `-`, `_` and `+`
    github.com/x/y@v1..v2: holds `..`, which is no part of a name or a version
    github.com/x/y@latest;id: holds ';', one of a shell's characters, of which a spec has none
    github.com/x/y latest: holds white space; write one package an entry, and its version without spaces
    github.com/x/y@$(id): holds '$', one of a shell's characters, of which a spec has none
    github.com/x/y?go-get=1: holds '?', one of a shell's characters, of which a spec has none
    github.com/x/y#readme: holds '#', one of a shell's characters, of which a spec has none
    github.com/x/y*: has the path element "y*"; one has letters, digits, `-`, `.`, `_`, `~` and `+`, no `-` or `.` in front and no `.` at its end
    github.com/x/y%2f: holds '%', one of a shell's characters, of which a spec has none
    @latest: has the name ""; a Go package is a path such as `github.com/OWNER/REPOSITORY`
    "#);
}
