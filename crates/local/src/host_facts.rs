//! What `policy` must know of this host: its own addresses.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bailiwick_policy::HostFacts;

/// Every address of this host, as the kernel lists them now.
///
/// `/proc/net/fib_trie` has the IPv4 addresses as local /32 leaves (proc_pid_net(5)), `/proc/net/if_inet6` those of IPv6.
/// Loopback is always among them, so that an unreadable file never makes the list empty.
pub fn host_facts(listeners: Vec<SocketAddr>) -> HostFacts {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let found = ipv4_addresses(&v4)
        .into_iter()
        .map(IpAddr::V4)
        .chain(ipv6_addresses(&v6).map(IpAddr::V6));
    let mut addresses: Vec<_> = loopback.into_iter().chain(found).collect();
    addresses.sort_unstable();
    addresses.dedup();
    HostFacts {
        addresses,
        listeners,
    }
}

/// Leaves look like `|-- 192.0.2.2` with `/32 host LOCAL` on the next line.
fn ipv4_addresses(fib_trie: &str) -> Vec<Ipv4Addr> {
    let lines: Vec<_> = fib_trie.lines().map(str::trim).collect();
    let leaf = |pair: &[&str]| {
        let address = pair[0].strip_prefix("|-- ")?;
        pair[1]
            .contains("host LOCAL")
            .then(|| address.parse().ok())?
    };
    lines.windows(2).filter_map(leaf).collect()
}

/// Lines begin with 32 hexadecimal digits.
fn ipv6_addresses(if_inet6: &str) -> impl Iterator<Item = Ipv6Addr> {
    if_inet6.lines().filter_map(|line| {
        u128::from_str_radix(line.get(..32)?, 16)
            .ok()
            .map(Ipv6Addr::from_bits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_what_the_kernel_prints() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        +-- 192.0.2.0/24 2 0 2\n           |-- 192.0.2.2\n              /32 host LOCAL\n           |-- 192.0.2.255\n              /32 link BROADCAST\n";
        assert_eq!(ipv4_addresses(trie), [Ipv4Addr::new(192, 0, 2, 2)]);
        let v6 = "fd000000000000000000000000000002 04 40 00 02     eth0\n";
        assert_eq!(
            ipv6_addresses(v6).collect::<Vec<_>>(),
            ["fd00::2".parse::<Ipv6Addr>().unwrap()]
        );
    }

    #[test]
    fn the_loopback_addresses_are_always_there() {
        let addresses = host_facts(Vec::new()).addresses;
        assert!(
            addresses.contains(&"127.0.0.1".parse().unwrap())
                && addresses.contains(&"::1".parse().unwrap())
        );
    }
}
