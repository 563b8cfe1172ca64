//! Makes the images that tests run on the engine of this machine: the metadata store's, and the stand-in's for the
//! versions that are named.

use changeover_runtime::docker::Engine;
use changeover_stand_in::images;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match make().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn make() -> std::io::Result<()> {
    let versions: Vec<String> = std::env::args().skip(1).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let engine = Engine::connect().await.map_err(std::io::Error::other)?;
    images::provide_postgres(&engine).await?;
    println!("{}", images::POSTGRES);
    let program = std::env::current_exe()?.with_file_name("materialized-stand-in");
    images::provide_stand_in(&engine, &program, &versions).await?;
    for version in versions {
        println!("{}:{version}", images::STAND_IN);
    }
    Ok(())
}
