//! Where a gateway is, as its clients and the authorization server write it: there is one way to.

use std::fmt::Write as _;

use bailiwick_model::limits::OAUTH_RESOURCE_BYTES;

/// Where the documents about gateways are (RFC 9728, section 3.1): before the path of each.
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// A gateway, by where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayAddress {
    /// Where the server is.
    public_url: String,
    /// Its id or its name.
    reference: String,
}

impl GatewayAddress {
    /// That of the gateway with this id or name, on the server that is reached there.
    pub fn new(public_url: &str, reference: &str) -> Self {
        Self {
            public_url: public_url.to_owned(),
            reference: reference.to_owned(),
        }
    }

    /// Reads one that a program named (RFC 8707), if it is one of that server and written as this server writes it.
    pub(super) fn read(public_url: &str, resource: &str) -> Option<Self> {
        if resource.len() > OAUTH_RESOURCE_BYTES {
            return None;
        }
        let encoded = resource.strip_prefix(public_url)?.strip_prefix("/mcp/")?;
        let read = Self::new(public_url, &decoded(encoded)?);
        (!encoded.is_empty() && read.resource() == resource).then_some(read)
    }

    /// Its id or its name.
    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    /// The gateway itself.
    pub fn resource(&self) -> String {
        format!("{}/mcp/{}", self.public_url, encoded(&self.reference))
    }

    /// The document about it.
    pub fn metadata(&self) -> String {
        let (url, reference) = (&self.public_url, encoded(&self.reference));
        format!("{url}{METADATA}/mcp/{reference}")
    }
}

/// As part of a path (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, behind @ ..] = rest else {
            return None;
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://bailiwick.example.com";

    #[test]
    fn what_is_written_is_read_again() {
        for reference in ["mcpg_1", "dev", "Böse Tür", "a/b", "100%", "a?b#c"] {
            let address = GatewayAddress::new(SERVER, reference);
            let read = GatewayAddress::read(SERVER, &address.resource());
            assert_eq!(read.unwrap().reference(), reference);
        }
        let spaced = GatewayAddress::new(SERVER, "my door");
        assert_eq!(
            spaced.metadata(),
            "https://bailiwick.example.com/.well-known/oauth-protected-resource/mcp/my%20door"
        );
    }

    #[test]
    fn an_address_is_this_servers_and_written_in_one_way() {
        for other in [
            "",
            "https://bailiwick.example.com",
            "https://bailiwick.example.com/mcp/",
            "https://bailiwick.example.com/api/dev",
            "https://bailiwick.example.com/mcp/dev/",
            "https://bailiwick.example.com/mcp/dev?x=1",
            "https://bailiwick.example.com/mcp/dev#x",
            "https://bailiwick.example.com/mcp/../api",
            "https://bailiwick.example.com/mcp/d%65v",
            "https://bailiwick.example.com/mcp/%",
            "https://bailiwick.example.com/mcp/%f",
            "https://bailiwick.example.com/mcp/%ff",
            "https://bailiwick.example.com/mcp/a%2fb",
            "https://bailiwick.example.com.evil.example/mcp/dev",
            "https://bailiwick.example.com@evil.example/mcp/dev",
            "http://bailiwick.example.com/mcp/dev",
            "HTTPS://bailiwick.example.com/mcp/dev",
        ] {
            assert_eq!(GatewayAddress::read(SERVER, other), None, "{other}");
        }
    }
}
