//! Prints the description of the API, for the committed copy beside this crate.

fn main() {
    print!("{}", amends_server::openapi());
}
