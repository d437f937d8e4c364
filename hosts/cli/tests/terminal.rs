//! Output on a terminal: a real one, of the kernel's own kind.

mod common;

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;

use common::{command, guest};

/// Runs the program with stdout and stderr on a terminal and gives what a person would see.
fn on_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let (mut ours, mut theirs) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: openpty writes two descriptors, and takes null for the rest.
    assert_eq!(0, unsafe { libc::openpty(&mut ours, &mut theirs, null, null.cast(), null.cast()) });
    // SAFETY: both are open and nobody else's.
    let (mut ours, theirs) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) };
    let mut command = command(arguments);
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    command.stdout(theirs.try_clone().expect("a copy")).stderr(theirs);
    let mut child = command.spawn().expect("the program starts");
    // The copies that the command keeps would hold the terminal open.
    drop(command);
    let mut seen = Vec::new();
    // Linux ends a terminal that nobody writes to any more with an error.
    let end = ours.read_to_end(&mut seen);
    assert!(end.is_ok() || end.is_err_and(|error| error.raw_os_error() == Some(libc::EIO)));
    let status = child.wait().expect("it ends");
    (status.code(), String::from_utf8_lossy(&seen).replace("\r\n", "\n"))
}

#[test]
fn json_is_indented_and_text_gets_a_newline() {
    let add = "conformance.v1.Conformance/Add";
    let expected = (Some(0), "{\n  \"sum\": \"2\"\n}\n".to_owned());
    assert_eq!(expected, on_terminal(&["call", guest(), add, "-i", r#"{"n":2}"#], &[]));
    assert_eq!((Some(0), "hi\n".to_owned()), on_terminal(&["call", guest(), "raw/Echo", "-i", "hi"], &[]));
}

#[test]
fn binary_data_is_refused_unless_asked_for() {
    let echo = |hex: &str, more: &[&str]| {
        on_terminal(&[&["call", guest(), "raw/Echo", "--hex", "-i", hex], more].concat(), &[("NO_COLOR", "1")])
    };
    for hex in ["ff00", "1b5b324a"] {
        let (code, seen) = echo(hex, &[]);
        assert_eq!(Some(1), code);
        assert!(seen.starts_with("polyhost: the reply is ") && seen.contains("--output hex"), "{seen}");
    }
    assert_eq!((Some(0), "\x1b[2J".to_owned()), echo("1b5b324a", &["--output", "binary"]));
    assert_eq!((Some(0), "1b5b324a\n".to_owned()), echo("1b5b324a", &["--output", "hex"]));
}

#[test]
fn what_guests_log_and_raise_is_no_command_to_the_terminal() {
    let call = |export: &str, input: &str| {
        let export = format!("conformance.v1.Conformance/{export}");
        on_terminal(&["call", guest(), &export, "-i", input, "--output", "hex"], &[("NO_COLOR", "1")])
    };
    let (code, seen) = call("Log", r#"{"level":"info","message":"\u001b[2Jgone\tand\u009b31m"}"#);
    assert_eq!(Some(0), code);
    assert!(seen.contains(": \\u{1b}[2Jgone\tand\\u{9b}31m\n"), "{seen:?}");
    let (code, seen) = call("Fail", r#"{"message":"\u001b]0;title\u0007"}"#);
    assert_eq!(Some(1), code);
    assert!(seen.contains(r"\u{1b}]0;title\u{7}") && !seen.contains('\u{1b}'), "{seen:?}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let wrong = ["inspect", "nothing"];
    assert!(on_terminal(&wrong, &[]).1.starts_with("\x1b[1;31mpolyhost:\x1b[0m nothing is no location"));
    assert!(on_terminal(&wrong, &[("NO_COLOR", "1")]).1.starts_with("polyhost: nothing"));
    assert!(on_terminal(&wrong, &[("TERM", "dumb")]).1.starts_with("polyhost: nothing"));
    assert!(on_terminal(&["inspect", guest()], &[]).1.contains("\x1b["));
}
