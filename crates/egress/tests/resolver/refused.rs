//! What never gets as far as a decision about a name.

use std::io::Read;

use bailiwick_egress::SandboxLimits;
use bailiwick_model::{Protocol, Reason, Verdict};
use hickory_proto::rr::RecordType;

use crate::world::World;

/// What the kernel logs for a datagram to `address`.
fn logged(address: [u8; 4], port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1];
    packet.extend(address);
    packet.extend([0x30, 0x39]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 8, 0, 0]);
    let attribute = [&32_u16.to_ne_bytes()[..], &9_u16.to_ne_bytes(), &packet].concat();
    [
        &52_u32.to_ne_bytes()[..],
        &0x400_u16.to_ne_bytes(),
        &[0; 10],
        &[2, 0, 0, 1],
        &attribute,
    ]
    .concat()
}

#[test]
fn a_refused_datagram_becomes_one_flow() {
    let mut world = World::new(SandboxLimits::default());
    world.ask("a.allowed.test.", RecordType::A);
    for _ in 0..3 {
        world.log.send(&logged([198, 18, 1, 1], 443)).unwrap();
    }
    let flow = world.flow();
    assert_eq!(flow.destination.to_string(), "a.allowed.test:443");
    assert_eq!(
        (flow.destination.protocol, flow.verdict, flow.reason),
        (Protocol::Udp, Verdict::Deny, Reason::Udp)
    );
    assert!(flow.hint.is_some());
    world
        .log
        .send(
            &[
                logged([169, 254, 169, 254], 53),
                logged([203, 0, 113, 1], 123),
            ]
            .concat(),
        )
        .unwrap();
    assert_eq!(
        world.flow().reason,
        Reason::Floor,
        "a stronger reason is told"
    );
    assert_eq!(world.flow().destination.to_string(), "203.0.113.1:123");
    world.log.send(b"garbage").unwrap();
    world.no_flow("garbage says nothing");
}

#[test]
fn a_connection_to_the_listener_itself_is_reset_and_recorded() {
    let mut world = World::new(SandboxLimits::default());
    let mut direct = world.connect(world.relay);
    assert!(direct.read(&mut [0; 1]).is_err(), "reset");
    let flow = world.flow();
    assert_eq!(
        (flow.reason, flow.destination.port),
        (Reason::Floor, world.relay.port())
    );
}
