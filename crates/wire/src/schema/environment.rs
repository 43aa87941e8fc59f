//! Bodies of environments, and their parts as answers show them.

use bailiwick_model::{PackageManager, limits};
use bailiwick_policy::Preset;
use serde_json::{Value, json};

use super::Schema;
use crate::environment::EnvironmentBody;

/// Where a part stands: a request may leave out, or null, what an answer always has.
#[derive(Clone, Copy, PartialEq)]
enum In {
    New,
    Change,
    Answer,
}

impl In {
    fn object(self) -> Schema {
        match self {
            Self::New | Self::Change => Schema::object(),
            Self::Answer => Schema::answer(),
        }
    }

    /// A field that a new thing needs and that a change may leave out.
    fn with_type(self, object: Schema, words: Schema) -> Schema {
        match self {
            Self::New | Self::Answer => object.needs("type", words),
            Self::Change => object.may("type", words),
        }
    }

    /// Requests may null a field.
    fn value(self, schema: Schema) -> Schema {
        match self {
            Self::New | Self::Change => schema.or_null(),
            Self::Answer => schema,
        }
    }

    fn name(self, names: [&'static str; 3]) -> &'static str {
        let [new, change, answer] = names;
        match self {
            Self::New => new,
            Self::Change => change,
            Self::Answer => answer,
        }
    }
}

impl EnvironmentBody {
    /// What [`Self::create`] takes.
    pub fn create_schema() -> Schema {
        Schema::object()
            .needs("name", name())
            .may_be("description", Schema::chars(0..=limits::DESCRIPTION_CHARS))
            .may_be("config", config(In::New))
            .may_be("metadata", Schema::pairs(false))
            .may_be("scope", Schema::word("organization"))
            .example(example())
    }

    /// What [`Self::update`] takes: what is absent stays, a pair of the metadata that is null or empty goes.
    pub fn update_schema() -> Schema {
        Schema::object()
            .may_be("name", name())
            .may_be("description", Schema::chars(0..=limits::DESCRIPTION_CHARS))
            .may_be("config", config(In::Change))
            .may_be("metadata", Schema::pairs(true))
            .may_be("scope", Schema::word("organization"))
            .example(json!({"description": "Staging alone", "config": {"networking": {"denied_hosts": ["*.prod.example.com"]}}}))
    }

    /// `config` as answers show it.
    pub fn config_schema() -> Schema {
        config(In::Answer)
    }

    /// A policy as requests have it: see [`crate::policy_from_json`].
    pub fn new_networking_schema() -> Schema {
        networking(In::New)
    }

    /// A policy as answers show it: see [`crate::networking_json`].
    pub fn networking_schema() -> Schema {
        networking(In::Answer)
    }
}

fn example() -> Value {
    json!({
        "name": "payments-dev",
        "description": "What the payments team tries out",
        "config": {
            "type": "cloud",
            "networking": {
                "type": "limited",
                "allowed_hosts": ["api.staging.example.com", "*.ci.example.com"],
                "allow_package_managers": true,
                "presets": ["common_dependencies"],
                "allowed_cidrs": ["10.20.0.0/16:5432"],
                "denied_hosts": ["*.prod.example.com"],
            },
            "packages": {"npm": ["typescript", "tsx"], "pip": ["pytest==8.3.4"]},
            "project": {"repository": "https://git.example.com/payments/api", "setup": ["make deps"]},
        },
        "metadata": {"team": "payments"},
    })
}

/// Letters, digits and signs; trimmed before its characters are counted.
fn name() -> Schema {
    Schema::chars(1..=bailiwick_model::EnvironmentName::MAX_CHARS)
        .matching("\\S")
        .says("Unique in the organization, without regard to case.")
}

fn config(place: In) -> Schema {
    let kinds = Schema::words(["cloud", "self_hosted"]).says(
        "Who runs sandboxes: Bailiwick, or workers of the organization. Cannot be changed; `self_hosted` has no other field.",
    );
    let base = Schema::text().says("What sandboxes begin with: `host`, `debian:SUITE`, `oci:REFERENCE`, `dir:PATH` or `tar:PATH`. Paths need the operator's leave. An extension.");
    place
        .with_type(place.object(), kinds)
        .may("networking", place.value(networking(place)))
        .may("packages", place.value(packages(place)))
        .may("base", place.value(base))
        .may("project", place.value(project(place)))
        .named(place.name(["NewConfig", "ConfigChange", "Config"]))
}

fn networking(place: In) -> Schema {
    let texts = |most: usize, what: &str| {
        let list = match place {
            In::New | In::Change => Schema::list_of(0..=most, Schema::text()),
            In::Answer => Schema::list(Schema::text()),
        };
        place.value(list.says(what))
    };
    let flag = |what: &str| place.value(Schema::boolean().says(what));
    let presets = Preset::ALL.iter().map(|preset| preset.name());
    let presets = Schema::list(Schema::words(presets))
        .says("Lists of hosts that come with Bailiwick. With `limited` alone. An extension.");
    let ports = Schema::list_of(0..=limits::HOST_PORTS, Schema::number(1..=65535))
        .says("Ports of this host that are reached as `host.internal`. An extension.");
    place
        .with_type(place.object(), Schema::words(["unrestricted", "limited"]))
        .may("allowed_hosts", texts(limits::HOST_RULES, "`example.com`, or `*.example.com` for what is below it; with `:port` or `:low-high`. With `limited` alone."))
        .may("allow_package_managers", flag("Registries of package managers. With `limited` alone."))
        .may("allow_mcp_servers", flag("MCP servers of the session's agent. With `limited` alone."))
        .may("allow_credential_hosts", flag("Hosts that the session's credentials are for; true unless it says otherwise. With `limited` alone. An extension."))
        .may("presets", place.value(presets))
        .may("allowed_cidrs", texts(limits::CIDR_RULES, "Networks, with a port: `10.20.0.0/16:5432`. An extension."))
        .may("denied_hosts", texts(limits::HOST_RULES, "Hosts that nothing opens. An extension."))
        .may("denied_cidrs", texts(limits::CIDR_RULES, "Networks that nothing opens. An extension."))
        .may("host_ports", place.value(ports))
        .named(place.name(["NewNetworking", "NetworkingChange", "Networking"]))
}

fn packages(place: In) -> Schema {
    let managers = PackageManager::ALL.iter().map(|manager| manager.name());
    let spec = Schema::chars(1..=limits::PACKAGE_BYTES);
    let specs = Schema::list_of(0..=limits::PACKAGES, spec);
    let of = |packages: Schema, manager| match place {
        In::New | In::Change => packages.may_be(manager, specs.clone()),
        In::Answer => packages.has(manager, Schema::list(Schema::text())),
    };
    let kind = Schema::word("packages");
    let packages = match place {
        In::New | In::Change => place.object().may_be("type", kind),
        In::Answer => place.object().has("type", kind),
    };
    let name = place.name(["PackageLists", "PackageLists", "Packages"]);
    managers.fold(packages, of).named(name)
}

fn project(place: In) -> Schema {
    let object = place
        .object()
        .says("A repository that sessions begin with. An extension.");
    let project = match place {
        In::Answer => object
            .has("repository", Schema::text())
            .may("ref", Schema::text())
            .has("name", Schema::text())
            .may("setup", Schema::list(Schema::text())),
        In::New | In::Change => {
            let command = Schema::chars(1..=limits::PROJECT_SETUP_COMMAND_BYTES);
            let setup = Schema::list_of(0..=limits::PROJECT_SETUP_COMMANDS, command);
            object
                .needs(
                    "repository",
                    Schema::chars(1..=limits::PROJECT_REPOSITORY_BYTES),
                )
                .may_be("ref", Schema::chars(1..=limits::PROJECT_REF_BYTES))
                .may_be("name", Schema::chars(1..=limits::PROJECT_NAME_BYTES))
                .may_be("setup", setup)
        }
    };
    project.named(place.name(["NewProject", "NewProject", "Project"]))
}
