//! Any text is an environment file or a list of problems, each of which can be printed; what is taken survives its own
//! canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miette::{GraphicalReportHandler, GraphicalTheme};

fuzz_target!(|text: &str| {
    match bailiwick_wire::parse_environment("fuzz.yaml", text) {
        Ok(file) => {
            let canonical = file.to_yaml().expect("a file can be written");
            let again = bailiwick_wire::parse_environment("canonical.yaml", &canonical).expect("the canonical form is valid");
            assert_eq!((again.name, again.policy, again.packages), (file.name, file.policy, file.packages));
        }
        Err(errors) => {
            let mut shown = String::new();
            GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                .render_report(&mut shown, &errors)
                .expect("a problem can be printed");
        }
    }
});
