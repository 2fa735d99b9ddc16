//! wget follows, resumes, and leaves alone what it has.

use std::fs;

use anyhow::{Result, ensure};

use super::Swarm;

/// Makes every request.
pub(super) fn run(swarm: &Swarm) -> Result<()> {
    let folder = swarm.cluster.make_folder("wget")?;
    let wget = |options: &[&str], path: &str| -> Result<String> {
        let url = format!("{}{path}", swarm.one);
        let arguments = [&["--server-response", "--tries=1"], options, &[url.as_str()]].concat();
        Ok(swarm.tool("wget", &folder, &arguments)?.expect_code("wget", 0)?.stderr)
    };
    let said = wget(&["-O", "moved.txt"], "/rfc/rfc00007.txt")?;
    ensure!(said.contains("301 Moved Permanently"), "{said}");
    swarm.check_same(&folder.join("moved.txt"), "rfc7.txt")?;

    wget(&["-N"], "/rfc/rfc9110.txt")?;
    swarm.check_same(&folder.join("rfc9110.txt"), "rfc9110.txt")?;
    let said = wget(&["-N"], "/rfc/rfc9110.txt")?;
    ensure!(said.contains("304 Not Modified"), "{said}");

    let whole = fs::read(folder.join("rfc9110.txt"))?;
    let half = whole.get(..whole.len() / 2).unwrap_or_default();
    fs::write(folder.join("rfc9110.txt"), half)?;
    let said = wget(&["-c"], "/rfc/rfc9110.txt")?;
    ensure!(said.contains("206 Partial Content"), "{said}");
    swarm.check_same(&folder.join("rfc9110.txt"), "rfc9110.txt")?;

    let spider = wget(&["--spider"], "/rfc/rfc10052.txt")?;
    ensure!(spider.contains("200 OK"), "{spider}");
    println!("ok  wget: moved, unchanged, resumed, and only looked at");
    Ok(())
}
