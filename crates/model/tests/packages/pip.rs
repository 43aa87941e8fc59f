//! Python packages.

use super::Pip;

#[test]
fn pip_packages_are_names_with_extras_and_version_specifiers() {
    taken!(Pip, "
        pytest
        pytest==8.3.4
        sqlalchemy==2.0.30
        Flask[async]>=2,<3
        Flask[async,dotenv]
        requests[security]==2.32.3
        django~=4.2
        django~=4.2.0
        numpy!=1.24.0
        numpy>=1.26,!=2.0.*,<3
        numpy==1.*
        torch==2.5.1+cpu
        black==24.10.0b1
        black==24.1a1
        pip==24.3.1
        setuptools>65
        pytz==2024.2
        attrs==24.2.0.post1
        tool==1.0.dev3
        tool==1.0rc1.post2.dev3
        tool==1!2.0
        tool==v1.0
        tool==1.0-1
        tool==1.0-RC-1
        tool===2024-legacy
        zope.interface<=7.1.1
        ruamel.yaml
        typing_extensions>=4.12
        backports.zoneinfo
        A
        x2
        PyYAML==6.0.2
        foo-bar_baz.qux==0
    ", @r"
    pytest: pytest
    pytest==8.3.4: pytest | ==8.3.4
    sqlalchemy==2.0.30: sqlalchemy | ==2.0.30
    Flask[async]>=2,<3: Flask | >=2,<3
    Flask[async,dotenv]: Flask
    requests[security]==2.32.3: requests | ==2.32.3
    django~=4.2: django | ~=4.2
    django~=4.2.0: django | ~=4.2.0
    numpy!=1.24.0: numpy | !=1.24.0
    numpy>=1.26,!=2.0.*,<3: numpy | >=1.26,!=2.0.*,<3
    numpy==1.*: numpy | ==1.*
    torch==2.5.1+cpu: torch | ==2.5.1+cpu
    black==24.10.0b1: black | ==24.10.0b1
    black==24.1a1: black | ==24.1a1
    pip==24.3.1: pip | ==24.3.1
    setuptools>65: setuptools | >65
    pytz==2024.2: pytz | ==2024.2
    attrs==24.2.0.post1: attrs | ==24.2.0.post1
    tool==1.0.dev3: tool | ==1.0.dev3
    tool==1.0rc1.post2.dev3: tool | ==1.0rc1.post2.dev3
    tool==1!2.0: tool | ==1!2.0
    tool==v1.0: tool | ==v1.0
    tool==1.0-1: tool | ==1.0-1
    tool==1.0-RC-1: tool | ==1.0-RC-1
    tool===2024-legacy: tool | ===2024-legacy
    zope.interface<=7.1.1: zope.interface | <=7.1.1
    ruamel.yaml: ruamel.yaml
    typing_extensions>=4.12: typing_extensions | >=4.12
    backports.zoneinfo: backports.zoneinfo
    A: A
    x2: x2
    PyYAML==6.0.2: PyYAML | ==6.0.2
    foo-bar_baz.qux==0: foo-bar_baz.qux | ==0
    ");
}

#[test]
fn pip_packages_are_no_options_or_urls() {
    refused!(Pip, "
        --index-url=https://evil.example/simple
        --index-url https://evil.example/simple
        -e git+https://evil.example/x
        -rrequirements.txt
        --pre
        git+https://evil.example/x
        https://evil.example/x.whl
        pytest @ https://evil.example/x.whl
        pytest@https://evil.example/x.whl
        pytest@file:///tmp/x
        file:x
        pytest; python_version < '3'
        pytest;sys_platform=='linux'
        .
        ./x
        ../x
        /tmp/x
        ~/x
        owner/x
        .[test]
        x.whl
        x-1.0-py3-none-any.WHL
        x.zip[extra]
    ", @r#"
    --index-url=https://evil.example/simple: begins with `-`, so that pip would read an option; options are not set here
    --index-url https://evil.example/simple: begins with `-`, so that pip would read an option; options are not set here
    -e git+https://evil.example/x: begins with `-`, so that pip would read an option; options are not set here
    -rrequirements.txt: begins with `-`, so that pip would read an option; options are not set here
    --pre: begins with `-`, so that pip would read an option; options are not set here
    git+https://evil.example/x: holds a URL; pip packages come from its registries, where they have names and versions
    https://evil.example/x.whl: holds a URL; pip packages come from its registries, where they have names and versions
    pytest @ https://evil.example/x.whl: holds a URL; pip packages come from its registries, where they have names and versions
    pytest@https://evil.example/x.whl: holds a URL; pip packages come from its registries, where they have names and versions
    pytest@file:///tmp/x: holds a URL; pip packages come from its registries, where they have names and versions
    file:x: names a source with "file:"; pip packages come from its registries, where they have names and versions
    pytest; python_version < '3': has an environment marker (`;`); one image is built for one system, so list what it needs
    pytest;sys_platform=='linux': has an environment marker (`;`); one image is built for one system, so list what it needs
    .: is a path; a package is named, and comes from the registries
    ./x: is a path; a package is named, and comes from the registries
    ../x: is a path; a package is named, and comes from the registries
    /tmp/x: is a path; a package is named, and comes from the registries
    ~/x: is a path; a package is named, and comes from the registries
    owner/x: holds `/`, so that pip would read a path or a repository
    .[test]: is a path; a package is named, and comes from the registries
    x.whl: ends in ".whl", so that pip would read the name of a file
    x-1.0-py3-none-any.WHL: ends in ".whl", so that pip would read the name of a file
    x.zip[extra]: ends in ".zip", so that pip would read the name of a file
    "#);
}

#[test]
fn pip_packages_are_no_markers_or_paths() {
    refused!(Pip, "
        x==1.0+x.zip
        x-1.0.tar.gz
        pytest ==8
        pytest== 8
        pytest==8 --hash=sha256:0
        pytest==$VERSION
        ${PYTEST}
        pytest#egg
        pytest\\
        \"pytest\"
        pytest&id
        pytest(>=8)
        -pytest
        pytest-
        _pytest
        pytest=8.3.4
        pytest@8.3.4
        pytest:8.3.4
        pytest^8
        pytest==
        pytest==8,
        pytest==8,,<9
        pytest,tox
    ", @r#"
    x==1.0+x.zip: ends in ".zip", so that pip would read the name of a file
    x-1.0.tar.gz: ends in ".tar.gz", so that pip would read the name of a file
    pytest ==8: holds white space; write one package an entry, and its version without spaces
    pytest== 8: holds white space; write one package an entry, and its version without spaces
    pytest==8 --hash=sha256:0: holds white space; write one package an entry, and its version without spaces
    pytest==$VERSION: holds '$', one of a shell's characters, of which a spec has none
    ${PYTEST}: holds '$', one of a shell's characters, of which a spec has none
    pytest#egg: holds '#', one of a shell's characters, of which a spec has none
    pytest\: holds '\\', one of a shell's characters, of which a spec has none
    "pytest": holds '"', one of a shell's characters, of which a spec has none
    pytest&id: holds '&', one of a shell's characters, of which a spec has none
    pytest(>=8): holds '(', one of a shell's characters, of which a spec has none
    -pytest: begins with `-`, so that pip would read an option; options are not set here
    pytest-: has the name "pytest-"; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    _pytest: has the name "_pytest"; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    pytest=8.3.4: has the version "=8.3.4"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest@8.3.4: has the name "pytest@8.3.4"; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    pytest:8.3.4: names a source with "pytest:"; pip packages come from its registries, where they have names and versions
    pytest^8: has the name "pytest^8"; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    pytest==: has the version "=="; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8,: has the version "==8,"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8,,<9: has the version "==8,,<9"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest,tox: has the name "pytest,tox"; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    "#);
}

#[test]
fn pip_packages_are_no_archives_and_have_proper_versions() {
    refused!(Pip, "
        pytest=>8
        pytest==8.*.1
        pytest>=8.*
        pytest==8.3rc1.*
        pytest>=8+local
        pytest~=8
        pytest==latest
        pytest==8..3
        pytest==8.3.
        pytest==8_3
        pytest==+local
        pytest==8+
        pytest==8+lo!cal
        pytest===
        pytest===-e
        Flask[async
        Flask[]
        Flask[a b]
        Flask[async]]
        Flask[-e]
        Flask[async,]
        [async]
        Flask>=2[async]
        Flask*
    ", @r#"
    pytest=>8: has the version "=>8"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8.*.1: has the version "==8.*.1"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest>=8.*: has the version ">=8.*"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8.3rc1.*: has the version "==8.3rc1.*"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest>=8+local: has the version ">=8+local"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest~=8: has the version "~=8"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==latest: has the version "==latest"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8..3: holds `..`, which is no part of a name or a version
    pytest==8.3.: has the version "==8.3."; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8_3: has the version "==8_3"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==+local: has the version "==+local"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8+: has the version "==8+"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest==8+lo!cal: has the version "==8+lo!cal"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest===: has the version "==="; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    pytest===-e: has the version "===-e"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    Flask[async: has the extra "async"; extras are written `[one,two]`, in the characters of names (PEP 508)
    Flask[]: has the extra ""; extras are written `[one,two]`, in the characters of names (PEP 508)
    Flask[a b]: holds white space; write one package an entry, and its version without spaces
    Flask[async]]: has the version "]"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    Flask[-e]: has the extra "-e"; extras are written `[one,two]`, in the characters of names (PEP 508)
    Flask[async,]: has the extra ""; extras are written `[one,two]`, in the characters of names (PEP 508)
    [async]: has the name ""; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    Flask>=2[async]: has the version ">=2[async]"; Python versions are `==1.2.3`, `==1.2.*`, `~=1.2`, `>=1.2`, `<2`, `!=1.3`, joined with commas (PEP 440)
    Flask*: has the name "Flask*"; a Python package has letters, digits, `-`, `_` and `.`, first and last a letter or digit
    "#);
}
