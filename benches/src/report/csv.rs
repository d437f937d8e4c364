//! A result as rows for other programs: one for each contender and cell, always with the same columns.

use super::view::{Point, Row, View, about};
use crate::result::schema::{Latency, RunResult, Usage};
use crate::stats::Estimate;

/// Columns are only ever added at the end.
const COLUMNS: [&str; 46] = [
    "workload",
    "payload_bytes",
    "concurrency",
    "contender",
    "outcome",
    "reason",
    "call_ns",
    "call_low_ns",
    "call_high_ns",
    "to_native",
    "to_native_low",
    "to_native_high",
    "to_fastest",
    "calls_per_second",
    "calls_per_second_low",
    "calls_per_second_high",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "max_ns",
    "open_rate",
    "open_reached",
    "open_p50_ns",
    "open_p99_ns",
    "open_p999_ns",
    "open_max_ns",
    "cpu_ns",
    "switches_per_call",
    "steady",
    "encode_ns",
    "cross_ns",
    "guest_ns",
    "decode_ns",
    "rss_started",
    "rss_loaded",
    "rss_after",
    "pss_loaded",
    "pss_after",
    "stages_untold",
    "facts",
    "efficiency",
    // The same in every row, so that rows of several runs may be put together.
    "run_started",
    "label",
    "commit",
    "partial",
];

/// The whole result. What was not measured is empty.
pub(crate) fn render(result: &RunResult) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write =
        |record: Vec<String>| writer.write_record(record).expect("rows are equally long, and memory takes them");
    write(COLUMNS.map(str::to_owned).to_vec());
    let facts = |name: &str| result.contenders.iter().find(|it| it.name == name).map(about).unwrap_or_default();
    let e = &result.environment;
    let run = [result.started.clone(), e.label.clone(), e.commit.clone(), result.partial.to_string()];
    for point in &View::new(result).points {
        for row in &point.rows {
            let mut record = place(point, row.contender);
            record.extend(["measured".to_owned(), String::new()]);
            record.extend(numbers(row, row.to_baseline.filter(|_| point.baseline.name == "native")));
            record.extend([row.measured.untold.clone().unwrap_or_default(), facts(row.contender)]);
            record.push(row.efficiency.map_or_else(String::new, |it| it.value.to_string()));
            record.extend(run.clone());
            write(record);
        }
        for (name, what, reason) in &point.rest {
            let mut record = place(point, name);
            record.extend([(*what).to_owned(), (*reason).to_owned()]);
            record.resize(COLUMNS.len() - 2 - run.len(), String::new());
            record.extend([facts(name), String::new()]);
            record.extend(run.clone());
            write(record);
        }
    }
    String::from_utf8(writer.into_inner().expect("memory takes it")).expect("it was made of text")
}

fn place(point: &Point<'_>, contender: &str) -> Vec<String> {
    vec![point.workload.to_owned(), point.payload.to_string(), point.concurrency.to_string(), contender.to_owned()]
}

fn numbers(row: &Row<'_>, to_native: Option<Estimate>) -> Vec<String> {
    let it = row.measured;
    let text = |number: f64| number.to_string();
    let interval = |it: Estimate| [it.value, it.low, it.high].map(text);
    let maybe = |it: Option<f64>| it.map_or_else(String::new, text);
    let service = |pick: fn(&Latency) -> f64| maybe(it.service.as_ref().map(pick));
    let open = |pick: fn(&Latency) -> f64| maybe(it.response.as_ref().map(|open| pick(&open.latency)));
    let memory = |pick: fn(crate::result::schema::Memory) -> Usage| it.memory.map(pick);
    let bytes = |it: Option<u64>| it.map_or_else(String::new, |it| it.to_string());
    let mut all = Vec::new();
    all.extend(interval(it.call));
    all.extend(to_native.map_or_else(Default::default, interval));
    all.push(text(row.to_fastest.map_or(1.0, |it| it.value)));
    all.extend(interval(it.throughput));
    all.extend([
        service(|it| it.p50),
        service(|it| it.p90),
        service(|it| it.p99),
        service(|it| it.p999),
        service(|it| it.max),
    ]);
    all.extend([maybe(it.response.as_ref().map(|it| it.rate)), maybe(it.response.as_ref().map(|it| it.reached))]);
    all.extend([open(|it| it.p50), open(|it| it.p99), open(|it| it.p999), open(|it| it.max)]);
    all.extend([maybe(it.cpu.map(|it| it.value)), maybe(it.switches), it.steady.reached.to_string()]);
    let stages = it.stages.map(|it| [it.encode, it.cross, it.guest, it.decode]);
    all.extend(stages.map_or_else(Default::default, |it| it.map(text)));
    let (started, loaded, after) = (memory(|it| it.started), memory(|it| it.loaded), memory(|it| it.after));
    all.extend([bytes(started.map(|it| it.rss)), bytes(loaded.map(|it| it.rss)), bytes(after.map(|it| it.rss))]);
    all.extend([bytes(loaded.map(|it| it.pss)), bytes(after.map(|it| it.pss))]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::result::schema::Outcome;

    #[test]
    fn rows_read_back_as_they_were() {
        for result in [sample::standard(), sample::one(), sample::none(), sample::strange(), sample::open_loop()] {
            let text = render(&result);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let rows: Vec<csv::StringRecord> =
                reader.records().collect::<Result<_, _>>().expect("all are equally long");
            assert_eq!(result.cells.len(), rows.len());
            for cell in &result.cells {
                let is = |row: &&csv::StringRecord| {
                    row[0] == cell.workload
                        && row[1] == cell.payload.to_string()
                        && row[2] == cell.concurrency.to_string()
                        && row[3] == cell.contender
                };
                let row = rows.iter().find(is).expect("every cell has a row");
                match &cell.outcome {
                    Outcome::Measured(it) => assert_eq!(Ok(it.call.value), row[6].parse()),
                    Outcome::Skipped(reason) => {
                        assert_eq!(("skipped", reason.as_str(), ""), (&row[4], &row[5], &row[6]))
                    }
                    Outcome::Failed(reason) => assert_eq!(("failed", reason.as_str(), ""), (&row[4], &row[5], &row[6])),
                }
                assert_eq!((&*result.started, &*result.partial.to_string()), (&row[42], &row[45]));
            }
        }
    }

    #[test]
    fn efficiency_is_throughput_of_that_of_so_many_alone() {
        let text = render(&sample::standard());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(|it| it.expect("it is one")).collect();
        let of = |callers: &str| {
            let is =
                |row: &&csv::StringRecord| (&row[0], &row[1], &row[2], &row[3]) == ("echo", "1024", callers, "clr");
            rows.iter().find(is).expect("it was measured")
        };
        let number = |row: &csv::StringRecord, column: usize| row[column].parse::<f64>().expect("a number");
        assert_eq!("", &of("1")[41]);
        let ratio = number(of("2"), 13) / (2.0 * number(of("1"), 13)) / number(of("2"), 41);
        assert!((ratio - 1.0).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn ratios_have_their_interval() {
        let text = render(&sample::standard());
        let row = text.lines().find(|line| line.starts_with("echo,1024,1,clr,measured")).expect("it was measured");
        let ratios: Vec<f64> = row.split(',').skip(9).take(3).map(|it| it.parse().expect("a number")).collect();
        assert!(ratios[1] <= ratios[0] && ratios[0] <= ratios[2] && (3.5..4.5).contains(&ratios[0]), "{row}");
    }
}
