use hickory_proto::op::MessageType;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{A, TXT};

use super::*;

fn query(name: &str, kind: RecordType, edns: Option<u16>) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(payload) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

fn question(bytes: &[u8]) -> Box<Question> {
    match parse(bytes) {
        Parsed::Question(question) => question,
        other @ (Parsed::Answered(_) | Parsed::Silence) => panic!("{other:?}"),
    }
}

fn code_of(bytes: &[u8]) -> Option<ResponseCode> {
    match parse(bytes) {
        Parsed::Answered(answer) => {
            Some(Message::from_vec(&answer).unwrap().metadata.response_code)
        }
        Parsed::Question(_) | Parsed::Silence => None,
    }
}

fn encode(bytes: &[u8], answer: Answer) -> Message {
    Message::from_vec(&question(bytes).encode(answer, true).unwrap()).unwrap()
}

#[test]
fn the_question_comes_back_in_the_case_it_was_asked() {
    let asked = query("ExAmPle.cOm.", RecordType::A, None);
    assert_eq!(question(&asked).host().unwrap().as_str(), "example.com");
    let record = Record::from_rdata(
        question(&asked).name().clone(),
        60,
        RData::A(A([198, 18, 1, 1].into())),
    );
    let bytes = question(&asked)
        .encode(Answer::Records(vec![record]), true)
        .unwrap();
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!(answer.metadata.id, 0x1234);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert!(answer.metadata.recursion_desired && answer.metadata.recursion_available);
    assert!(bytes.windows(7).any(|part| part == b"ExAmPle"));
    assert_eq!(answer.answers.len(), 1);
    assert!(answer.edns.is_none(), "EDNS only where it was asked for");
}

#[test]
fn a_refusal_says_why_to_those_who_can_read_it() {
    let refused = || Answer::Refused(ErrorCode::Blocked, "no_rule: ask for it".to_owned());
    let answer = encode(&query("a.test.", RecordType::A, Some(1232)), refused());
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    let options = answer.edns.unwrap();
    let [(_, EdnsOption::Unknown(15, data))] = options.options().as_ref() else {
        panic!("{options:?}")
    };
    assert_eq!(data[..2], [0, 15]);
    assert_eq!(&data[2..], b"no_rule: ask for it");
    assert!(
        encode(&query("a.test.", RecordType::A, None), refused())
            .edns
            .is_none()
    );
}

#[test]
fn an_answer_that_does_not_fit_is_truncated() {
    let asked = query("a.test.", RecordType::TXT, None);
    let text = || {
        let record =
            |_| Record::from_rdata(Name::root(), 1, RData::TXT(TXT::new(vec!["x".repeat(200)])));
        Answer::Records((0..5).map(record).collect())
    };
    let answer = encode(&asked, text());
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    assert!(
        !encode(&query("a.test.", RecordType::TXT, Some(4096)), text())
            .metadata
            .truncation
    );
    let over_tcp = Message::from_vec(&question(&asked).encode(text(), false).unwrap()).unwrap();
    assert_eq!(over_tcp.answers.len(), 5);
}

#[test]
fn what_is_not_one_question_of_class_in_is_answered_without_being_looked_at() {
    let good = query("a.test.", RecordType::A, None);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(
        code_of(&with(2, 0x28)),
        Some(ResponseCode::NotImp),
        "opcode UPDATE"
    );
    assert_eq!(
        code_of(&with(2, 0x20)),
        Some(ResponseCode::NotImp),
        "opcode NOTIFY"
    );
    assert_eq!(
        code_of(&with(5, 0)),
        Some(ResponseCode::FormErr),
        "no question"
    );
    assert_eq!(
        code_of(&with(5, 2)),
        Some(ResponseCode::FormErr),
        "more questions than there are"
    );
    assert_eq!(
        code_of(&with(good.len() - 1, 3)),
        Some(ResponseCode::Refused),
        "class CHAOS"
    );
    assert_eq!(
        code_of(&query("a.test.", RecordType::AXFR, None)),
        Some(ResponseCode::NotImp)
    );
    assert_eq!(
        code_of(&good[..good.len() - 1]),
        Some(ResponseCode::FormErr)
    );
    assert_eq!(
        code_of(&with(12, 0xc0)),
        Some(ResponseCode::FormErr),
        "a pointer to itself"
    );
    assert!(
        matches!(parse(&with(2, 0x80)), Parsed::Silence),
        "a response is not answered"
    );
    assert!(matches!(parse(&good[..11]), Parsed::Silence));
}

#[test]
fn labels_with_odd_bytes_are_no_host_name() {
    let odd_labels: [&[u8]; 5] = [b"a.b", b"a\0", b"a b", b"\xff", b"a/b"];
    for odd in odd_labels {
        let name = Name::from_labels([odd, b"test"]).unwrap();
        let mut message = Message::query();
        message.add_query(Query::query(name, RecordType::A));
        assert_eq!(question(&message.to_vec().unwrap()).host(), None, "{odd:?}");
    }
    for odd in [".", "1.2.3.4."] {
        assert_eq!(
            question(&query(odd, RecordType::A, None)).host(),
            None,
            "{odd}"
        );
    }
    assert!(
        question(&query("_dmarc.a.test.", RecordType::TXT, None))
            .host()
            .is_some()
    );
}

#[test]
fn reverse_names_are_read() {
    let reverse = |name| question(&query(name, RecordType::PTR, None)).reverse();
    assert_eq!(reverse("4.3.2.1.in-addr.arpa."), Some([1, 2, 3, 4].into()));
    for other in [
        "3.2.1.in-addr.arpa.",
        "400.3.2.1.in-addr.arpa.",
        "0.4.3.2.1.in-addr.arpa.",
        "a.test.",
    ] {
        assert_eq!(reverse(other), None, "{other}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_damaged_query_is_answered_with_its_own_id_or_not_at_all(
        flips in proptest::collection::vec((0usize..60, 0u8..=255), 0..6),
    ) {
        let mut bytes = query("www.Example.com.", RecordType::A, Some(1232));
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let answer = match parse(&bytes) {
            Parsed::Silence => return Ok(()),
            Parsed::Answered(answer) => answer,
            Parsed::Question(question) => {
                let _ = (question.host(), question.reverse());
                let Some(answer) = question.encode(Answer::Refused(ErrorCode::Blocked, "x".repeat(999)), true) else {
                    return Ok(());
                };
                answer
            }
        };
        proptest::prop_assert_eq!(&answer[..2], &bytes[..2]);
        proptest::prop_assert!(answer[2] & 0x80 != 0 && answer.len() <= 1232);
    }
}
