//! What guests write to the log.

use std::sync::{Arc, Mutex, OnceLock};

use polyhost_bridge::{CallContext, LoadOptions, LogLevel, LogSink, Module};
use polyhost_proto::conformance::v1::{AddRequest, LogRequest};

use super::{ADD, LOG};
use crate::case::{Case, Cx, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("log::lines_arrive_with_level_and_module").run(|cx| {
            let (lines, module) = logged(cx);
            let levels = [
                ("trace", LogLevel::Trace),
                ("debug", LogLevel::Debug),
                ("info", LogLevel::Info),
                ("warn", LogLevel::Warn),
                ("error", LogLevel::Error),
            ];
            for (level, _) in levels {
                log(cx, &*module, level, &format!("as {level}"));
            }
            let expected: Vec<_> = levels
                .iter()
                .map(|(name, level)| Line { module: "logged".into(), level: *level, message: format!("as {name}") })
                .collect();
            assert_eq!(expected, *lines.lock().expect("no panic"));
        }),
        case("log::lines_name_the_call_they_were_written_in").run(|cx| {
            let calls = Arc::new(Mutex::new(Vec::new()));
            let write = calls.clone();
            let sink = LogSink::new(move |record| {
                write.lock().expect("no panic").push(record.call.map(str::to_owned));
            });
            let module = cx.load(&LoadOptions::new().log(sink)).expect("loads");
            calls.lock().expect("no panic").clear();
            log(cx, &*module, "info", "a line");
            assert_eq!([Some(LOG.name().to_owned())], **calls.lock().expect("no panic"));
        }),
        case("log::keeps_every_character_of_a_line").run(|cx| {
            let (lines, module) = logged(cx);
            let texts = ["", "Grüße, 世界 🎉", "%s %d {} {0}", "two\nlines", &"long ".repeat(20_000)];
            texts.iter().for_each(|text| log(cx, &*module, "info", text));
            let lines = lines.lock().expect("no panic");
            assert_eq!(texts.to_vec(), lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>());
        }),
        case("log::of_two_modules_is_told_apart").run(|cx| {
            let ((one_lines, one), (two_lines, two)) = (logged(cx), logged(cx));
            log(cx, &*one, "info", "one");
            log(cx, &*two, "info", "two");
            let messages = |lines: &Mutex<Vec<Line>>| -> Vec<String> {
                lines.lock().expect("no panic").iter().map(|line| line.message.clone()).collect()
            };
            assert_eq!((vec!["one".to_owned()], vec!["two".to_owned()]), (messages(&one_lines), messages(&two_lines)));
        }),
        // No lock of the runtime's is held while the sink runs.
        case("log::a_sink_may_call_the_module_that_writes").run(|cx| {
            let (module, calls) = (Arc::new(OnceLock::<Arc<dyn Module>>::new()), Arc::new(Mutex::new(Vec::new())));
            let (writing, count) = (module.clone(), calls.clone());
            let sink = LogSink::new(move |_| {
                if let Some(module) = writing.get() {
                    let add = ADD.of(&**module).expect("is exported");
                    let sum = add.call(&CallContext::none(), &AddRequest { n: 1 }).map(|reply| reply.sum);
                    count.lock().expect("no panic").push(sum.map_err(|error| format!("{error:?}")));
                }
            });
            let module = module.get_or_init(|| cx.load(&LoadOptions::new().log(sink)).expect("loads"));
            (0..3).for_each(|_| log(cx, &**module, "info", "and calls"));
            assert_eq!([Ok(1), Ok(2), Ok(3)], *std::mem::take(&mut *calls.lock().expect("no panic")));
            // The sink holds the module, which holds the sink.
            module.unload(crate::PATIENCE);
        }),
        case("log::panic_of_the_sink_does_not_reach_the_guest").run(|cx| {
            let sink = LogSink::new(|_| panic!("on purpose: in a log sink"));
            let module = cx.load(&LoadOptions::new().log(sink)).expect("loads");
            log(cx, &*module, "error", "to nowhere");
        }),
    ]
}

#[derive(Debug, PartialEq)]
struct Line {
    module: String,
    level: LogLevel,
    message: String,
}

/// The guest, and the lines it writes.
fn logged(cx: &Cx<'_>) -> (Arc<Mutex<Vec<Line>>>, Arc<dyn Module>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let write = lines.clone();
    let sink = LogSink::new(move |record| {
        let line = Line { module: record.module.to_owned(), level: record.level, message: record.message.to_owned() };
        write.lock().expect("no panic").push(line);
    });
    (lines, cx.load(&LoadOptions::new().name("logged").log(sink)).expect("loads"))
}

fn log(cx: &Cx<'_>, module: &dyn Module, level: &str, message: &str) {
    let request = LogRequest { level: level.into(), message: message.into() };
    cx.invoke(module, LOG, &request).unwrap_or_else(|error| panic!("{error:?}"));
}
