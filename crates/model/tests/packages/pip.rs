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
    ", @"");
}

#[test]
fn pip_packages_are_no_options_urls_markers_paths_or_archives() {
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
    ", @"");
}
