//! What an image holds, as a bill of materials: CycloneDX 1.6 (ECMA-424), JSON.
//!
//! The packages of the base are read from its package database, in the topmost layer that has one; those of layers are what their managers told. The same
//! image has the same text: components are sorted, the serial number follows from the keys, and the time is that of the last build.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use crate::key::Content;
use crate::sha256;
use crate::store::{Layer, ResolvedPackage};

mod hash;
mod purl;
mod system;

use hash::Hash;
use purl::Purl;
use system::System;

pub use system::UnreadableSystem;

/// An image whose contents are to be listed.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What it is called: the environment's name.
    pub name: &'a str,
    /// What identifies its base.
    pub base: &'a str,
    /// The root of its base, where that is a directory of this machine.
    pub base_root: Option<PathBuf>,
    /// Its layers, the lowest first.
    pub layers: &'a [Layer],
}

/// A bill of materials; its JSON is the document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sbom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    tools: Tools,
    component: Component,
}

#[derive(Debug, Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Application,
    Container,
    Library,
    OperatingSystem,
}

#[derive(Debug, Clone, Serialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

impl Property {
    const BASE: &'static str = "bailiwick:base";
    const HASH: &'static str = "bailiwick:hash";
    const LAYER: &'static str = "bailiwick:layer";
}

impl Sbom {
    /// Lists what an image holds.
    ///
    /// # Errors
    ///
    /// [`UnreadableSystem`]: the package database of its base is there and cannot be read.
    pub fn of(subject: &Subject<'_>) -> Result<Self, UnreadableSystem> {
        let system = System::read(&roots(subject))?;
        Ok(Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: serial_number(subject),
            version: 1,
            metadata: metadata(subject),
            components: components(subject, &system),
        })
    }
}

/// Where files of the image lie, the topmost first.
fn roots(subject: &Subject<'_>) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for layer in subject.layers.iter().rev() {
        roots.push(match &layer.record.inputs.content {
            Content::Packages { .. } | Content::Project { .. } => layer.tree(),
            Content::Base { .. } => layer.base_root(),
        });
    }
    roots.extend(subject.base_root.clone());
    roots
}

/// `urn:uuid:` with a UUID of version 8, made of a digest (RFC 9562, 5.8).
fn serial_number(subject: &Subject<'_>) -> String {
    let mut text = format!("bailiwick sbom 1\n{}\n{}\n", subject.name, subject.base);
    for layer in subject.layers {
        text += &format!("{} {}\n", layer.key, layer.record.built_at);
    }
    let hash = digest(&SHA256, text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = sha256::digits(&bytes);
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("urn:uuid:{a}-{b}-{c}-{d}-{e}")
}

fn metadata(subject: &Subject<'_>) -> Metadata {
    let built_at = subject.layers.iter().map(|layer| layer.record.built_at);
    let timestamp = built_at
        .max()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let mut image = Component::new(Kind::Container, subject.name);
    image.bom_ref = Some("image".to_owned());
    image.properties.push(Property {
        name: Property::BASE,
        value: subject.base.to_owned(),
    });
    image.properties.extend(subject.layers.iter().map(of_layer));
    let mut tool = Component::new(Kind::Application, "bailiwick");
    tool.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    Metadata {
        timestamp: timestamp.map(|timestamp| timestamp.to_string()),
        tools: Tools {
            components: vec![tool],
        },
        component: image,
    }
}

fn of_layer(layer: &Layer) -> Property {
    Property {
        name: Property::LAYER,
        value: layer.key.to_string(),
    }
}

/// Each package once, in the order of their purls.
fn components(subject: &Subject<'_>, system: &System) -> Vec<Component> {
    let mut found: BTreeMap<String, Component> = BTreeMap::new();
    for package in &system.packages {
        let component = Component::new(Kind::Library, &package.name).at(system.purl(package));
        found.insert(component.key(), component);
    }
    for layer in subject.layers {
        let manager = match &layer.record.inputs.content {
            Content::Packages { manager, .. } => *manager,
            Content::Base { .. } | Content::Project { .. } => continue,
        };
        for package in &layer.record.resolved {
            let purl = Purl::of_resolved(manager, package, system);
            let component = Component::new(Kind::Library, &package.name).at(purl);
            let component = found.entry(component.key()).or_insert(component);
            component.know(package, layer);
        }
    }
    let os = system.release.as_ref().map(|release| {
        let mut os = Component::new(Kind::OperatingSystem, &release.id);
        os.bom_ref = Some("operating-system".to_owned());
        os.version.clone_from(&release.version);
        os
    });
    os.into_iter().chain(found.into_values()).collect()
}

impl Component {
    fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            bom_ref: None,
            group: None,
            name: name.to_owned(),
            version: None,
            hashes: Vec::new(),
            purl: None,
            external_references: Vec::new(),
            properties: Vec::new(),
        }
    }

    fn at(mut self, purl: Purl) -> Self {
        let text = purl.to_string();
        self.name = purl.name;
        self.group = purl.group;
        self.version = Some(purl.version);
        self.purl = Some(text.clone());
        self.bom_ref = Some(text);
        self
    }

    fn key(&self) -> String {
        self.purl.clone().unwrap_or_default()
    }

    /// Adds what a layer knows of it.
    fn know(&mut self, package: &ResolvedPackage, layer: &Layer) {
        self.add(of_layer(layer));
        if let Some(hash) = &package.hash {
            match Hash::parse(hash) {
                Some(hash) if self.hashes.contains(&hash) => {}
                Some(hash) => self.hashes.push(hash),
                None => self.add(Property {
                    name: Property::HASH,
                    value: hash.clone(),
                }),
            }
        }
        if let Some(source) = &package.source
            && !self.external_references.iter().any(|r| r.url == *source)
        {
            self.external_references.push(Reference {
                kind: "distribution",
                url: source.clone(),
            });
        }
    }

    fn add(&mut self, property: Property) {
        if !self.properties.contains(&property) {
            self.properties.push(property);
        }
    }
}
