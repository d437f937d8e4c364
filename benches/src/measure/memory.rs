//! What processes keep in memory, by the kernel's own account.

use crate::result::schema::Usage;

/// Of some processes together.
///
/// # Errors
/// Where one is not there, or the kernel tells nothing.
pub(crate) fn of(pids: &[u32]) -> Result<Usage, String> {
    let mut all = Usage::default();
    for pid in pids {
        let file = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
        let one = parse(&text).ok_or_else(|| format!("{file} is not understood"))?;
        all = Usage { rss: all.rss + one.rss, pss: all.pss + one.pss };
    }
    Ok(all)
}

fn parse(text: &str) -> Option<Usage> {
    let bytes = |name| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    };
    Some(Usage { rss: bytes("Rss:")?, pss: bytes("Pss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_a_process_keeps() {
        let text = "5581d8c5c000-7ffd0b9f2000 ---p 00000000 00:00 0    [rollup]\nRss:    3344 kB\nPss:     412 kB\n\
                    Pss_Anon:    88 kB\n";
        assert_eq!(Some(Usage { rss: 3344 << 10, pss: 412 << 10 }), parse(text));
        assert_eq!(None, parse("Rss: many kB\nPss: 412 kB"));
        let this = std::process::id();
        let (one, two) = (of(&[this]).expect("it is there"), of(&[this, this]).expect("it is there"));
        assert!(one.rss > 0 && one.pss > 0 && two.rss > one.rss, "{one:?} {two:?}");
    }
}
