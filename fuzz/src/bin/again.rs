//! Feeds a file to a fuzz target once more: `cargo run -p espalier-fuzz -- NAME FILE`.

use std::process::ExitCode;

use espalier_fuzz::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, file] = arguments.as_slice() else {
        eprintln!(
            "usage: again NAME FILE, as in `again wire_json fuzz/artifacts/wire_json/smoke-7`"
        );
        return ExitCode::from(2);
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no target {name}, but {}", names.join(", "));
        return ExitCode::from(2);
    };
    match std::fs::read(file) {
        Ok(input) => {
            println!("{name}: {:?}", (target.run)(&input));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{file} is not readable: {error}");
            ExitCode::FAILURE
        }
    }
}
