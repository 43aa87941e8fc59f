//! Trusted certificates in the form in which Java keeps them: its own store, which no variable and no bundle adds to.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Where distributions have Java's store, to which each JDK has a link.
pub(crate) const PLACES: &[&str] = &[
    // Debian, Ubuntu
    "/etc/ssl/certs/java/cacerts",
    // Fedora, RHEL, openSUSE
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/var/lib/ca-certificates/java-cacerts",
];

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// An entry that is a certificate and not a key.
const TRUSTED: u32 = 2;
/// The password that every JDK's store has; it protects nothing.
const PASSWORD: &str = "changeit";
/// What the digest begins with besides the password (`sun.security.provider.JavaKeyStore`).
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// The certificates of a bundle, PEM, as a store of the kind JKS. What is no certificate is left out.
pub(crate) fn of_bundle(bundle: &[u8]) -> Vec<u8> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(bundle)
        .filter_map(Result::ok)
        .collect();
    let mut store = Vec::new();
    number(&mut store, MAGIC);
    number(&mut store, VERSION);
    number(&mut store, u32::try_from(certificates.len()).unwrap_or(0));
    for (index, certificate) in certificates.iter().enumerate() {
        number(&mut store, TRUSTED);
        text(&mut store, &format!("bailiwick{index}"));
        // When it was added, which nobody asks for.
        store.extend_from_slice(&[0; 8]);
        text(&mut store, "X.509");
        number(&mut store, u32::try_from(certificate.len()).unwrap_or(0));
        store.extend_from_slice(certificate);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    PASSWORD
        .encode_utf16()
        .for_each(|unit| digest.update(&unit.to_be_bytes()));
    digest.update(WHITENER);
    digest.update(&store);
    store.extend_from_slice(digest.finish().as_ref());
    store
}

fn number(store: &mut Vec<u8>, number: u32) {
    store.extend_from_slice(&number.to_be_bytes());
}

/// Short and ASCII, for which Java's form of UTF-8 is UTF-8.
fn text(store: &mut Vec<u8>, text: &str) {
    store.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}
