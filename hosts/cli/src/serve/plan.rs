//! Where to listen: the command line, then the file, then the application, then localhost:5000.

use polyhost::aspnet::ServerSettings;

/// What the server takes where nobody says anything, as Kestrel does.
const DEFAULT: &str = "http://localhost:5000";

/// Addresses to listen at, and who said so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) addresses: Vec<String>,
    pub(crate) by: &'static str,
    /// What the application wanted and does not get, with the reason.
    pub(crate) overruled: Vec<String>,
}

/// Decides.
///
/// # Errors
/// Where the application listens with TLS alone, which is not served yet.
pub(crate) fn plan(arguments: &[String], file: &[String], app: &ServerSettings) -> Result<Plan, String> {
    for (addresses, by) in [(arguments, "--listen"), (file, "polyhost.toml")] {
        if !addresses.is_empty() {
            return Ok(Plan { addresses: addresses.to_vec(), by, overruled: Vec::new() });
        }
    }
    // Kestrel takes its own endpoints before the urls, and says so.
    let (wanted, by, rest): (_, _, &[String]) = if !app.endpoints.is_empty() {
        (&app.endpoints, "the application's Kestrel endpoints", &app.urls)
    } else if !app.urls.is_empty() {
        (&app.urls, "the application's urls", &[])
    } else {
        return Ok(Plan { addresses: vec![DEFAULT.to_owned()], by: "default", overruled: Vec::new() });
    };
    let (tls, plain): (Vec<_>, Vec<_>) = wanted.iter().cloned().partition(|address| is_tls(address));
    if plain.is_empty() {
        return Err(format!(
            "the application listens at {} only, and TLS is not served yet; pass --listen with a plain address",
            tls.join(", ")
        ));
    }
    let tls = tls.into_iter().map(|address| format!("{address}: TLS is not served yet"));
    let rest = rest.iter().map(|address| format!("{address}: the application's Kestrel endpoints go before its urls"));
    Ok(Plan { addresses: plain, by, overruled: tls.chain(rest).collect() })
}

fn is_tls(address: &str) -> bool {
    address.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(urls: &[&str], endpoints: &[&str]) -> ServerSettings {
        let mut settings = ServerSettings::default();
        settings.urls = urls.iter().map(|url| (*url).to_owned()).collect();
        settings.endpoints = endpoints.iter().map(|url| (*url).to_owned()).collect();
        settings
    }

    fn check(expected: (&[&str], &str), arguments: &[&str], file: &[&str], app: &ServerSettings) {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let plan = plan(&own(arguments), &own(file), app).expect("there is a plan");
        assert_eq!((own(expected.0), expected.1), (plan.addresses, plan.by));
    }

    #[test]
    fn the_command_line_goes_first_and_the_default_last() {
        let own = app(&["http://u:1"], &[]);
        check((&["a:1"], "--listen"), &["a:1"], &["b:1"], &own);
        check((&["b:1"], "polyhost.toml"), &[], &["b:1"], &own);
        check((&["http://u:1"], "the application's urls"), &[], &[], &own);
        check(
            (&["http://e:1"], "the application's Kestrel endpoints"),
            &[],
            &[],
            &app(&["http://u:1"], &["http://e:1"]),
        );
        check((&[DEFAULT], "default"), &[], &[], &app(&[], &[]));
    }

    #[test]
    fn tls_is_told_and_left_out() {
        let both = plan(&[], &[], &app(&["https://a:1", "http://a:2"], &[])).expect("one is plain");
        assert_eq!(vec!["http://a:2".to_owned()], both.addresses);
        assert_eq!(1, both.overruled.len());
        assert!(plan(&[], &[], &app(&["https://a:1"], &[])).is_err());
    }
}
