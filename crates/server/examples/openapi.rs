//! Prints the document of the API. `cargo xtask generate` keeps it in `docs/openapi.json`.

fn main() {
    println!("{:#}", bailiwick_server::openapi());
}
