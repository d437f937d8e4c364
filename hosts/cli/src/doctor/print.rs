//! The report for people.

use std::fmt::Write;

use super::Report;
use super::machine::{Machine, Process, Stack};
use super::runtimes::{RuntimeReport, Started, Status};
use super::signals::SignalRow;
use crate::cli::RUNTIMES;
use crate::registry::feature_of;
use crate::screen::Paint;

pub(super) fn text(report: &Report, started: bool, verbose: bool) -> String {
    let paint = Paint::stdout();
    let mut text = String::new();
    let title = |text: &mut String, name: &str| {
        let _ = writeln!(text, "\n{}", paint.title(name));
    };
    let _ = writeln!(text, "{}", paint.title(format!("polyhost {}", report.version)));
    let _ = writeln!(text, "  runtimes of this build: {RUNTIMES}");

    title(&mut text, "runtimes");
    for runtime in &report.runtimes {
        write_runtime(&mut text, paint, runtime, verbose);
    }
    title(&mut text, "machine");
    write_machine(&mut text, &report.machine);
    title(&mut text, "process");
    write_process(&mut text, &report.process);
    title(&mut text, "signals");
    write_signals(&mut text, paint, &report.signals, verbose);
    text += "\n";
    if !started {
        let hint = "nothing was started; `polyhost doctor --start` starts every runtime of this build";
        let _ = writeln!(text, "{}", paint.faint(hint));
    }
    let verdict = if report.ok {
        paint.good("every runtime of this build is fine")
    } else {
        paint.error("not every runtime of this build is fine; see above")
    };
    let _ = writeln!(text, "{verdict}");
    text
}

fn write_runtime(text: &mut String, paint: Paint, runtime: &RuntimeReport, verbose: bool) {
    let status = match (runtime.in_build, runtime.status) {
        (false, _) => paint.faint("not built"),
        (true, Status::Ok) => paint.good("ok       "),
        (true, Status::Missing) => paint.error("missing  "),
        (true, Status::Broken) => paint.error("broken   "),
    };
    let _ = writeln!(text, "  {status}  {:<7} {}", runtime.name, runtime.summary);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{:13}{name}: {value}", "");
    };
    if let Some(advice) = &runtime.advice {
        line("to do", advice);
    }
    if !runtime.in_build {
        let feature = feature_of(runtime.scheme).unwrap_or(runtime.scheme);
        line("to have it", &format!("build with --features {feature}"));
    }
    for fact in &runtime.facts {
        line(fact.name, &fact.value);
    }
    if let Some(started) = &runtime.started {
        line("started", &describe_start(started));
        line("can", &started.capabilities.join(", "));
    }
    // What was looked at matters where nothing was found.
    if verbose || runtime.status == Status::Missing {
        runtime.looked.iter().for_each(|place| line("looked at", place));
    }
}

fn describe_start(started: &Started) -> String {
    let Started { version, location, microseconds, resident_delta, .. } = started;
    let mut text = format!("{version} in {:.1} ms", *microseconds as f64 / 1000.0);
    if let Some(delta) = resident_delta {
        let _ = write!(text, ", {:+.1} MB", *delta as f64 / 1e6);
    }
    if let Some(location) = location {
        let _ = write!(text, ", {location}");
    }
    text
}

fn write_machine(text: &mut String, machine: &Machine) {
    let Machine { os, architecture, kernel, processors, memory_total, memory_available, memory_limit } = machine;
    let kernel = kernel.as_deref().unwrap_or("unknown kernel");
    let _ = writeln!(text, "  {os} {architecture}, {kernel}");
    let _ = writeln!(text, "  processors: {}", processors.map_or_else(|| "unknown".to_owned(), |n| n.to_string()));
    let limit = memory_limit.map(|limit| format!(", limit of the control group {}", bytes(Some(limit))));
    let (total, available) = (bytes(*memory_total), bytes(*memory_available));
    let _ = writeln!(text, "  memory: {total}, {available} of it free{}", limit.unwrap_or_default());
}

fn write_process(text: &mut String, process: &Process) {
    let after = |value: Option<String>| value.map(|text| format!(" -> {text} after the start")).unwrap_or_default();
    let resident_after = after(process.resident_after_start.map(|size| bytes(Some(size))));
    let _ = writeln!(text, "  memory: {}{resident_after}", bytes(process.resident));
    let main_after = after(process.main_thread_after_start.as_ref().map(stack));
    let _ = writeln!(text, "  main thread: {}{main_after}", stack(&process.main_thread));
    let new = process.new_thread.as_ref().map_or_else(|| "unknown".to_owned(), stack);
    let _ = writeln!(text, "  new threads of Rust: {new}");
    let least = bytes(Some(process.least_signal_stack));
    let _ = writeln!(text, "  a signal's frame on this processor: {least} of stack");
    let limit = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let stack_limit = process.stack_limit.map_or_else(|| "none".to_owned(), |size| bytes(Some(size)));
    let _ = writeln!(text, "  limits: stack {stack_limit}, open files {}", limit(process.open_files_limit));
}

fn stack(stack: &Stack) -> String {
    let size = |size: Option<usize>| size.map_or_else(|| "none".to_owned(), |size| bytes(Some(size as u64)));
    format!("stack {}, alternate signal stack {}", size(stack.stack), size(stack.alternate))
}

fn write_signals(text: &mut String, paint: Paint, rows: &[SignalRow], verbose: bool) {
    let shown: Vec<_> = rows.iter().filter(|row| verbose || row.is_special()).collect();
    let width = shown.iter().map(|row| row.before.len()).max().unwrap_or(0).max("before".len());
    if shown.iter().any(|row| row.after.is_some()) {
        let _ = writeln!(text, "  {}", paint.faint(format!("{:<3}{:<13}{:<width$}  after", "", "", "before")));
    }
    for row in shown {
        let SignalRow { number, name, before, after } = row;
        let after = match after {
            Some(after) if row.has_changed() => after,
            Some(_) => "the same",
            None => "",
        };
        let mut line = format!("  {number:>2} {name:<13}{before:<width$}  {after}");
        line.truncate(line.trim_end().len());
        let _ = writeln!(text, "{}", if row.has_changed() { paint.warning(line) } else { line });
    }
    if !verbose {
        let _ = writeln!(text, "  {}", paint.faint("all others: the default (--verbose shows them)"));
    }
}

/// A size for people.
fn bytes(size: Option<u64>) -> String {
    match size {
        None => "unknown".to_owned(),
        Some(size) if size < 10 << 10 => format!("{size} B"),
        Some(size) if size < 10 << 20 => format!("{} KiB", size >> 10),
        Some(size) if size < 10 << 30 => format!("{} MiB", size >> 20),
        Some(size) => format!("{} GiB", size >> 30),
    }
}
