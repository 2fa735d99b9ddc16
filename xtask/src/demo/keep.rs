//! `--keep`: the cluster stays up for the user to try things on it.

use std::{
    io::{self, BufRead, IsTerminal},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Result;

use super::Demo;
use crate::{wait, workspace};

/// Prints commands to try, and waits for Enter or Ctrl-C.
pub fn until_told(demo: &mut Demo) -> Result<()> {
    print_commands(demo)?;
    let (sender, entered) = mpsc::channel();
    let terminal = io::stdin().is_terminal();
    if terminal {
        // Ends with the program: nothing can wake a thread that waits for a line.
        thread::spawn(move || {
            let mut line = String::new();
            let _ = io::stdin().lock().read_line(&mut line);
            let _ = sender.send(());
        });
    }
    println!(
        "\nThe cluster stays up until {}Ctrl-C.",
        if terminal { "Enter or " } else { "" }
    );
    while !wait::take_interrupt() && entered.try_recv().is_err() {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn print_commands(demo: &mut Demo) -> Result<()> {
    let registry = demo.cluster.registry_address()?;
    let peer = demo.cluster.programs().peer.display().to_string();
    let rows = demo.cluster.peer_rows()?;
    let source = rows.iter().find(|row| row.name == demo.cast.source());
    let address = source.map_or("", |row| row.address.as_str());
    let victim = demo.cast.victim().to_owned();
    let (wanted, lost) = (demo.cast.wanted.number, demo.cast.lost.number);
    println!("\nTo try on it, from another terminal:\n");
    println!("    cd {}", demo.cluster.folder().display());
    println!("    export P2PCI_REGISTRY=http://{registry}");
    for rest in [
        "peers",
        "list",
        &format!("lookup {wanted}"),
        &format!("get {wanted} --to ."),
        "watch",
        "shell",
    ] {
        println!("    {peer} {rest}");
    }
    println!(
        "\nWith grpcurl (`cargo xtask grpcurl-test` puts it into {}):\n",
        workspace::tools_dir().display()
    );
    println!("    grpcurl -plaintext {registry} list");
    println!("    grpcurl -plaintext {registry} describe p2pci.v1.Registry");
    println!("    grpcurl -plaintext -d '{{\"number\": {wanted}}}' {registry} p2pci.v1.Registry/Lookup");
    println!("    grpcurl -plaintext {registry} p2pci.v1.Registry/ListPeers");
    println!("    grpcurl -plaintext {registry} p2pci.v1.Registry/Watch");
    println!("    grpcurl -plaintext -d '{{\"number\": {wanted}}}' {address} p2pci.v1.FileTransfer/Download");
    println!("    grpcurl -plaintext {address} grpc.health.v1.Health/Check");
    println!("\nTo see a peer vanish, and its RFCs with it:\n");
    println!("    kill -KILL {} # {victim}", demo.id_of(&victim)?);
    println!("    {peer} lookup {lost}");
    Ok(())
}
