//! The command line: help with examples, exit codes, and errors that say what to do.

use crate::process::{PASSWORD, Server, add_user, run};

#[test]
fn every_command_has_help_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "serve",
        "demo",
        "user add",
        "backup",
        "restore",
        "doctor",
        "config",
        "sim",
        "firmware keygen",
        "firmware sign",
        "firmware verify",
        "firmware inspect",
        "firmware import",
        "firmware keyset",
    ] {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--help");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_espalier"))
            .args(&args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("Example:"),
            "{command}: {text}"
        );
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_two_and_a_failure_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        run(dir.path(), &["serve", "--port", "many"], "")
            .status
            .code(),
        Some(2)
    );
    let output = run(dir.path(), &["serve", "--listen", "nonsense"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("0.0.0.0:8000"),
        "{output:?}"
    );
    assert_eq!(
        run(dir.path(), &["restore", "missing.zst"], "")
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn the_printed_settings_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let printed = run(dir.path(), &["config"], "");
    assert!(printed.status.success());
    std::fs::write(dir.path().join("espalier.toml"), &printed.stdout).unwrap();
    let again = run(dir.path(), &["config"], "");
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    std::fs::write(dir.path().join("espalier.toml"), "signup = \"maybe\"").unwrap();
    let wrong = run(dir.path(), &["config"], "");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("invite"),
        "{wrong:?}"
    );
}

#[test]
fn doctor_says_what_is_wrong_with_exit_code_three() {
    let dir = tempfile::tempdir().unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    std::fs::write(dir.path().join("espalier.toml"), format!("port = {port}")).unwrap();
    let output = run(dir.path(), &["doctor"], "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("BAD") && text.contains(&port.to_string()),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_can_be_added_before_and_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    add_user(dir.path(), "before");
    let server = Server::start(dir.path());
    add_user(dir.path(), "while");
    server.login("before").await;
    server.login("while").await;
    let args = [
        "user",
        "add",
        "--email",
        "x@example.com",
        "--username",
        "before",
        "--password-stdin",
    ];
    let output = run(dir.path(), &args, PASSWORD);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("already"),
        "{output:?}"
    );
    let weak = run(
        dir.path(),
        &[
            "user",
            "add",
            "--email",
            "y@example.com",
            "--username",
            "yy1",
            "--password-stdin",
        ],
        "short\n",
    );
    assert_eq!(weak.status.code(), Some(1));
}
