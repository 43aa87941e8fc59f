//! A scripted model as a process of its own: `scripted-model [ADDRESS [SCRIPT]]`, with a script of JSON as `ModelScript` reads it; without one it
//! answers everything with a text. It prints its URL in a line, and ends when its standard input does. `GET /scripted/requests` has what it was asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use bailiwick_testkit::{ModelScript, ModelServer, ModelStep};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .map_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), |address| {
            address.parse().expect("an address and a port")
        });
    let script = arguments.next().map_or_else(
        || ModelScript::of([ModelStep::text("Hello from the scripted model.").always()]),
        |file| serde_json::from_slice(&std::fs::read(file).expect("a script")).expect("a script"),
    );
    let server = ModelServer::start_at(address, script);
    println!("{}", server.url());
    std::io::stdout().flush().expect("standard output");
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .expect("standard input");
}
