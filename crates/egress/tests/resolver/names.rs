//! What is answered, and what is not asked.

use std::io::Read;
use std::net::Ipv4Addr;

use bailiwick_egress::SandboxLimits;
use bailiwick_model::{Protocol, Reason};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, RecordType};

use crate::world::{A_WHILE, PATIENCE, World, ask_over, query};

fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

fn address(message: &Message) -> Ipv4Addr {
    match message.answers.first().map(|record| &record.data) {
        Some(RData::A(address)) => address.0,
        Some(_) | None => panic!("no address in {message:?}"),
    }
}

/// The words of the Extended DNS Error.
fn words(message: &Message) -> String {
    let edns = message.edns.as_ref().expect("EDNS");
    let bytes = edns.options().as_ref().iter().find_map(|(_, option)| {
        if let EdnsOption::Unknown(15, data) = option {
            Some(data.clone())
        } else {
            None
        }
    });
    String::from_utf8_lossy(&bytes.expect("an Extended DNS Error")[2..]).into_owned()
}

#[test]
fn an_allowed_name_has_one_synthetic_address_and_it_leads_back() {
    let mut world = World::new(SandboxLimits::default());
    let first = address(&world.ask("a.allowed.test.", RecordType::A));
    assert_eq!(first, Ipv4Addr::new(198, 18, 1, 1));
    assert_eq!(address(&world.ask("A.Allowed.TEST.", RecordType::A)), first);
    assert_ne!(address(&world.ask("b.allowed.test.", RecordType::A)), first);
    let back = world.ask("1.1.18.198.in-addr.arpa.", RecordType::PTR);
    assert_eq!(back.answers[0].data.to_string(), "a.allowed.test.");
    assert_eq!(
        code(&world.ask("9.9.18.198.in-addr.arpa.", RecordType::PTR)),
        ResponseCode::NXDomain
    );
    world.no_flow("questions for allowed names make no flows");
    assert_eq!(world.attachment.counters().names, 2);
}

#[test]
fn other_types_of_an_allowed_name_are_empty() {
    let world = World::new(SandboxLimits::default());
    for kind in [
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::SVCB,
        RecordType::TXT,
        RecordType::MX,
        RecordType::ANY,
    ] {
        let answer = world.ask("a.allowed.test.", kind);
        assert_eq!(
            (code(&answer), answer.answers.len()),
            (ResponseCode::NoError, 0),
            "{kind}"
        );
    }
}

#[test]
fn a_denied_name_is_refused_with_words_and_makes_one_flow() {
    let mut world = World::new(SandboxLimits::default());
    for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
        let answer = world.ask("secret-data.evil.test.", kind);
        assert_eq!(code(&answer), ResponseCode::Refused);
        assert!(
            words(&answer).starts_with("no_rule: "),
            "{}",
            words(&answer)
        );
    }
    let flow = world.flow();
    assert_eq!(
        (flow.destination.protocol, flow.reason),
        (Protocol::Dns, Reason::NoRule)
    );
    assert_eq!(flow.destination.to_string(), "secret-data.evil.test");
    world.no_flow("repetitions make no flow");
    assert_eq!(world.attachment.counters().denials_repeated, 2);
    assert_eq!(
        code(&world.ask("metadata.google.internal.", RecordType::A)),
        ResponseCode::Refused
    );
    assert_eq!(world.flow().reason, Reason::Floor);
}

#[test]
fn localhost_is_this_sandbox() {
    let world = World::new(SandboxLimits::default());
    assert_eq!(
        address(&world.ask("localhost.", RecordType::A)),
        Ipv4Addr::LOCALHOST
    );
    assert_eq!(world.ask("localhost.", RecordType::AAAA).answers.len(), 1);
}

#[test]
fn names_beyond_the_limit_are_refused_and_say_so() {
    let mut world = World::new(SandboxLimits {
        names: 2,
        ..SandboxLimits::default()
    });
    world.ask("a.allowed.test.", RecordType::A);
    world.ask("b.allowed.test.", RecordType::A);
    let answer = world.ask("c.allowed.test.", RecordType::A);
    assert_eq!(code(&answer), ResponseCode::Refused);
    assert!(
        words(&answer).starts_with("name_limit: "),
        "{}",
        words(&answer)
    );
    assert_eq!(world.flow().reason, Reason::NameLimit);
    assert_eq!(
        code(&world.ask("a.allowed.test.", RecordType::A)),
        ResponseCode::NoError
    );
}

#[test]
fn ipv6_and_tcp_are_answered_like_udp() {
    let world = World::new(SandboxLimits::default());
    let bytes = world
        .ask_raw(
            world.udp[1],
            &query("a.allowed.test.", RecordType::A),
            PATIENCE,
        )
        .expect("an answer");
    assert_eq!(
        address(&Message::from_vec(&bytes).unwrap()),
        Ipv4Addr::new(198, 18, 1, 1)
    );
    let stream = world.connect(world.tcp);
    for _ in 0..3 {
        assert_eq!(
            address(&ask_over(&stream, &query("a.allowed.test.", RecordType::A))),
            Ipv4Addr::new(198, 18, 1, 1)
        );
        assert_eq!(
            code(&ask_over(&stream, &query("evil.test.", RecordType::A))),
            ResponseCode::Refused
        );
    }
}

#[test]
fn garbage_is_answered_or_not_and_never_ends_the_resolver() {
    let world = World::new(SandboxLimits::default());
    for garbage in [
        &[][..],
        &[0; 5],
        &[0xff; 12],
        &[0; 12],
        &[0x00; 4096],
        &[0xc0; 5000],
    ] {
        let _ = world.ask_raw(world.udp[0], garbage, A_WHILE);
    }
    assert_eq!(
        code(&world.ask("a.allowed.test.", RecordType::A)),
        ResponseCode::NoError
    );
    let mut stream = world.connect(world.tcp);
    std::io::Write::write_all(&mut stream, &[0xff, 0xff, 1]).unwrap();
    assert!(
        matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)),
        "an oversized question ends its connection"
    );
}

#[test]
fn a_silent_or_flooding_client_over_tcp_holds_nobody_up() {
    let world = World::new(SandboxLimits::default());
    let held: Vec<_> = (0..60).map(|_| world.connect(world.tcp)).collect();
    assert_eq!(
        code(&world.ask("a.allowed.test.", RecordType::A)),
        ResponseCode::NoError
    );
    drop(held);
    let stream = world.connect(world.tcp);
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(stream);
    let stream = world.connect(world.tcp);
    assert_eq!(
        code(&ask_over(&stream, &query("a.allowed.test.", RecordType::A))),
        ResponseCode::NoError
    );
}
