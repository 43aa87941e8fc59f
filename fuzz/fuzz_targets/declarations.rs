//! Any text is a list of declarations or a list of problems, each of which can be printed; the agents among them are what their own requests say.
#![no_main]

use bailiwick_wire::{AgentBody, Declared, DefaultKind, parse_declarations};
use libfuzzer_sys::fuzz_target;
use miette::{GraphicalReportHandler, GraphicalTheme};

fuzz_target!(|text: &str| {
    match parse_declarations("fuzz.yaml", text, DefaultKind::Agent) {
        Ok(read) => {
            for declaration in read.list {
                if let Declared::Agent(agent) = declaration.declared {
                    let again = AgentBody::create(&agent.body.to_request()).expect("a request is a body");
                    assert_eq!(again, agent.body);
                }
            }
        }
        Err(errors) => {
            let mut shown = String::new();
            GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                .render_report(&mut shown, &errors)
                .expect("a problem can be printed");
        }
    }
});
