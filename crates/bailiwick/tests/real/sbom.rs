//! The bill of materials of an image: what its makers' own validator says of it, and that it names what is there.

use std::time::Duration;

use bailiwick_testkit::{GitRepository, root_archive};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{everyone, on_host};

/// The validator comes from the registry, on a slow day.
const PATIENCE: Duration = Duration::from_secs(200);
const ENVIRONMENT: &str = "name: bill\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allow_package_managers: true\n  packages: {npm: [tsx@4.19.2], pip: ['pytest==8.3.4']}\n";
const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

problems = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
print('valid' if problems is None else problems)
";

/// The validator of CycloneDX's own library, with the official schema, in an environment of the test's own.
fn validator() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().display();
    let told = on_host(&format!(
        "python3 -m venv {path}/v && {path}/v/bin/pip install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.12.0' && echo done"
    ));
    assert!(told.ends_with("done\n"), "{told}");
    std::fs::write(directory.path().join("validate.py"), VALIDATE).expect("a script");
    directory
}

#[test]
fn the_bill_of_materials_is_valid_the_same_each_time_and_names_what_is_there() {
    let validator = validator();
    let path = validator.path().display();
    let validate = |text: &str| {
        std::fs::write(validator.path().join("bom.json"), text).expect("a file");
        on_host(&format!(
            "{path}/v/bin/python {path}/validate.py {path}/bom.json"
        ))
    };
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let built = bailiwick.run().environment(ENVIRONMENT).patience(PATIENCE);
        let there = built
            .script("python3 -c 'import importlib.metadata as m; print(*sorted(f\"{d.name}=={d.version}\" for d in m.distributions(path=[\"/usr/local/lib/python3.11/dist-packages\"])))'")
            .success();
        let file = bailiwick.write(bailiwick.home().join("bill.yaml"), ENVIRONMENT);
        let sbom = || {
            bailiwick.execute(
                ["image", "sbom", "-f"]
                    .iter()
                    .map(std::ffi::OsStr::new)
                    .chain([file.as_os_str()]),
            )
        };
        let text = sbom().success().stdout;
        assert_eq!(text, sbom().success().stdout);
        assert_eq!(validate(&text), "valid\n");
        // The control: the validator refuses.
        assert_ne!(
            validate(&text.replace("\"library\"", "\"book\"")),
            "valid\n"
        );
        let bom: Value = serde_json::from_str(&text).expect("JSON");
        let components = bom["components"].as_array().expect("components");
        let find = |purl: &str| components.iter().find(|c| c["purl"].as_str() == Some(purl));
        let pytest = find("pkg:pypi/pytest@8.3.4").expect("pytest");
        assert_eq!(pytest["hashes"][0]["alg"], "SHA-256");
        assert_eq!(pytest["properties"][0]["name"], "bailiwick:layer");
        let tsx = find("pkg:npm/tsx@4.19.2").expect("tsx");
        assert_eq!(tsx["hashes"][0]["alg"], "SHA-512");
        for installed in there.stdout.split_whitespace() {
            let (name, version) = installed.split_once("==").expect("a version");
            let purl = format!(
                "pkg:pypi/{}@{version}",
                name.to_lowercase().replace('_', "-")
            );
            assert!(find(&purl).is_some(), "{purl}");
        }
        // What the host's package database says, which the image stands on.
        let of_host = on_host(
            "dpkg-query --show --showformat='${db:Status-Status} ${Package}\\n' | grep -c '^installed '",
        );
        let debian = components.iter().filter(|c| {
            c["purl"]
                .as_str()
                .is_some_and(|p| p.starts_with("pkg:deb/"))
        });
        assert!(
            debian.count() >= of_host.trim().parse::<usize>().expect("a number"),
            "{of_host}"
        );
    }
}

#[test]
fn a_bill_of_an_environment_with_a_project_names_the_projects_layer() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let repository = GitRepository::new("app");
        repository.write("file", "x").commit("first");
        let url = repository.url();
        let built = bailiwick.execute(["image", "build", "-q", "--project", &url]);
        let key = built.success().stdout;
        let bill = bailiwick.execute(["image", "sbom", "--project", &url]);
        let bill: Value = serde_json::from_str(&bill.success().stdout).expect("JSON");
        let properties = bill["metadata"]["component"]["properties"].clone();
        let of = |name: &str| {
            let properties = properties.as_array().expect("properties");
            let property = properties.iter().find(|p| p["name"] == name);
            property
                .and_then(|p| p["value"].as_str())
                .map(str::to_owned)
        };
        assert_eq!(of("bailiwick:layer").as_deref(), Some(key.trim_end()));
        let base = of("bailiwick:base").expect("a base");
        assert!(base.starts_with("host:"), "{base}");
        // Of the key alone; on another base the one that it stood on is still named.
        let archive = bailiwick.home().join("root.tar");
        root_archive(&archive, &json!([]));
        let other = format!("tar:{}", archive.display());
        for options in [vec![], vec!["--base", &other]] {
            let sbom = ["image", "sbom", key.trim_end()];
            let told = bailiwick.execute(sbom.iter().chain(&options)).success();
            assert!(told.stdout.contains(&base), "{told:#?}");
        }
    }
}
