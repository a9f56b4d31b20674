//! The example services as a program: `amends-example-services --saga order`.

fn main() -> anyhow::Result<()> {
    amends_example_services::run(std::env::args_os().skip(1))
}
