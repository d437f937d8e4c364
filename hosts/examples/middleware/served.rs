//! An ASP.NET Core application in the process where the C# middleware is already.

use polyhost::Registry;

use crate::report::Outcome;

/// Serves the shop of `examples/aspnet` and asks it a few things; a line for each.
#[cfg(feature = "aspnet")]
pub(crate) fn run(registry: &Registry) -> Outcome<Vec<String>> {
    let dll = match locate(registry) {
        Ok(dll) => dll,
        Err(reason) => return crate::run::skip("clr", reason),
    };
    match ask(&dll) {
        Ok(lines) => Outcome::Ran(lines),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Without the feature there is nothing to serve it.
#[cfg(not(feature = "aspnet"))]
pub(crate) fn run(_: &Registry) -> Outcome<Vec<String>> {
    Outcome::Skipped("this was built without the feature `aspnet`".to_owned())
}

/// The application, where there is what it takes.
#[cfg(feature = "aspnet")]
fn locate(registry: &Registry) -> Result<std::path::PathBuf, String> {
    let location = crate::files::assembly("Shop")?;
    let runtime = registry.runtime("clr").map_err(|error| error.to_string())?;
    let root = runtime.info().location.clone().unwrap_or_default();
    if !root.join("shared/Microsoft.AspNetCore.App").is_dir() {
        return Err(format!("the .NET in {} has no ASP.NET Core", root.display()));
    }
    Ok(location.trim_start_matches("clr:").into())
}

#[cfg(feature = "aspnet")]
fn ask(dll: &std::path::Path) -> Result<Vec<String>, crate::shop::BoxError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shop = crate::shop::Shop::open(dll).await?;
        let [_, one_route_in_rust, _] = crate::shop::Step::ALL;
        let counter = shop.serve(one_route_in_rust, "127.0.0.1:0".parse()?)?;
        let answers = counter.tour().await;
        counter.close().await;
        shop.close().await?;
        Ok(answers?.iter().map(ToString::to_string).collect())
    })
}
