//! An authoritative DNS server that a test scripts, for what public servers do not do on demand: rebinding, rotation, TTL 0.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LOOPBACK;
use super::udp::UdpService;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
/// Response, authoritative.
const ANSWER: u8 = 0x84;
const NAME_ERROR: u8 = 3;

/// A DNS server (RFC 1035) over UDP for A and AAAA; every answer has TTL 0.
#[derive(Debug)]
pub struct DnsServer {
    service: UdpService,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Debug, Default)]
struct Zone {
    /// For each name the answers in turn, each a set of addresses; the last one stays.
    names: BTreeMap<String, Vec<Vec<IpAddr>>>,
    asked: Vec<String>,
}

impl DnsServer {
    /// On 127.0.0.1 and a port of its own.
    pub fn start() -> Self {
        Self::start_at(SocketAddr::new(LOOPBACK, 0))
    }

    /// On any address and port of this machine.
    pub fn start_at(address: SocketAddr) -> Self {
        let zone = Arc::new(Mutex::new(Zone::default()));
        let shared = Arc::clone(&zone);
        Self {
            service: UdpService::start(address, move |question| {
                answer(question, &mut lock(&shared))
            }),
            zone,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address
    }

    /// From now on `name` has these addresses.
    pub fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.set_in_turn(name, &[addresses]);
    }

    /// From now on the first question about `name`, of either type, is answered from the first set, the next from the
    /// second, and so on; the last set stays. This is how rebinding works.
    pub fn set_in_turn(&self, name: &str, answers: &[&[IpAddr]]) {
        let answers = answers.iter().map(|addresses| addresses.to_vec()).collect();
        lock(&self.zone)
            .names
            .insert(name.to_ascii_lowercase(), answers);
    }

    /// The names that were asked for, in order, as they were spelled.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.zone).asked.clone()
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` for what is not a question: it is not worth an answer.
fn answer(message: &[u8], zone: &mut Zone) -> Option<Vec<u8>> {
    let (name, end) = read_name(message.get(HEADER_BYTES..)?)?;
    let question = message.get(HEADER_BYTES..HEADER_BYTES + end + 4)?;
    let kind = u16::from_be_bytes([question[end], question[end + 1]]);
    zone.asked.push(name.clone());
    let addresses = match zone.names.get_mut(&name.to_ascii_lowercase()) {
        None => None,
        Some(turns) if turns.len() > 1 => Some(turns.remove(0)),
        Some(turns) => turns.first().cloned(),
    };
    let code = if addresses.is_some() { 0 } else { NAME_ERROR };
    let records: Vec<Vec<u8>> = addresses
        .unwrap_or_default()
        .into_iter()
        .filter_map(|address| record(address, kind))
        .collect();
    let mut reply = message[..2].to_vec();
    reply.extend([ANSWER | message[2] & 1, code, 0, 1]);
    reply.extend((records.len() as u16).to_be_bytes());
    reply.extend([0; 4]);
    reply.extend(question);
    reply.extend(records.concat());
    Some(reply)
}

/// The name at the beginning of `bytes`, and how many bytes it takes there. Questions are not compressed.
fn read_name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 0);
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some((labels.join("."), at + 1)),
            length @ 1..=63 => {
                let label = bytes.get(at + 1..at + 1 + length)?;
                labels.push(String::from_utf8_lossy(label).into_owned());
                at += 1 + length;
            }
            _ => return None,
        }
    }
}

/// A resource record for the name of the question, if the address is of the type that was asked for.
fn record(address: IpAddr, kind: u16) -> Option<Vec<u8>> {
    let octets = match (address, kind) {
        (IpAddr::V4(v4), TYPE_A) => v4.octets().to_vec(),
        (IpAddr::V6(v6), TYPE_AAAA) => v6.octets().to_vec(),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => return None,
    };
    // A pointer to the name in the question, type, class IN, TTL 0, length.
    let mut record = vec![0xc0, HEADER_BYTES as u8];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 0, 0, octets.len() as u8]);
    record.extend(octets);
    Some(record)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn ask(server: &DnsServer, name: &str, kind: u16) -> (u8, Vec<u8>) {
        let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(label.len() as u8);
            question.extend(label.as_bytes());
        }
        question.push(0);
        question.extend(kind.to_be_bytes());
        question.extend([0, 1]);
        let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        socket.send_to(&question, server.address()).unwrap();
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..2], [7, 7]);
        (buffer[3] & 15, buffer[question.len()..length].to_vec())
    }

    #[test]
    fn it_answers_in_turn_and_remembers_what_was_asked() {
        let server = DnsServer::start();
        let [public, private] =
            ["93.184.216.34", "127.0.0.1"].map(|a| a.parse::<IpAddr>().unwrap());
        server.set_in_turn("rebind.test", &[&[public], &[private]]);
        let last_four =
            |(code, records): (u8, Vec<u8>)| (code, records[records.len() - 4..].to_vec());
        assert_eq!(
            last_four(ask(&server, "ReBind.test", TYPE_A)),
            (0, vec![93, 184, 216, 34])
        );
        assert_eq!(
            last_four(ask(&server, "rebind.test", TYPE_A)),
            (0, vec![127, 0, 0, 1])
        );
        assert_eq!(
            last_four(ask(&server, "rebind.test", TYPE_A)),
            (0, vec![127, 0, 0, 1])
        );
        assert_eq!(ask(&server, "rebind.test", TYPE_AAAA), (0, vec![]));
        assert_eq!(ask(&server, "other.test", TYPE_A), (NAME_ERROR, vec![]));
        assert_eq!(server.asked()[0], "ReBind.test");
    }
}
