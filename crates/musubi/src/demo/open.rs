//! A demo that stays: what a browser shows of it, and where.
//!
//! Everything that people look at is named here, so that a page of another node is one more line. Surprising: whether it stays is
//! seen from standard output: a person at a terminal wants to look around, a script wants it to end.

use std::{
    io::{self, IsTerminal as _, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use anyhow::Context as _;
use musubi_runtime::Shutdown;

use super::{material::Material, people, ways_in};
use crate::cluster::{Cluster, Doors, PagesPlan};

/// `--pages`, `--stay`, `--exit`
#[derive(Debug, clap::Args)]
pub(super) struct OpenArgs {
    /// Where the phones are shown in a browser, on this machine alone: a port; any free one when it is taken.
    #[arg(long, value_name = "PORT", default_value_t = 7080, conflicts_with = "headless")]
    pages: u16,
    /// Leaves everything running when the population has run, until Ctrl-C. So it is when standard output is a terminal.
    #[arg(long, conflicts_with_all = ["headless", "exit"])]
    stay: bool,
    /// Ends when the population has run, also at a terminal.
    #[arg(long)]
    exit: bool,
}

impl OpenArgs {
    /// Whether everything is left running.
    pub(super) fn stays(&self) -> bool {
        self.stay || !self.exit && io::stdout().is_terminal()
    }

    /// What browsers are shown.
    ///
    /// # Errors
    /// When the people whose phones can be picked up can't be chosen or written.
    pub(super) fn plan(&self, material: &Material, folder: &Path) -> anyhow::Result<PagesPlan> {
        // Behind the phones', unless these have any port.
        let next = |index: u16| if self.pages == 0 { 0 } else { self.pages.saturating_add(index) };
        let consoles = (1..).take(material.accounts.len()).map(|index| free(next(index))).collect();
        Ok(PagesPlan { phones: free(self.pages), consoles, people: people::write(material, folder)? })
    }
}

/// A port of loopback, or any free one when it is taken.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_free_again) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

/// Says where to look, and waits until a signal asks for the end.
///
/// # Errors
/// When a node fails meanwhile, or the output is gone.
pub(super) async fn stay(
    cluster: &mut Cluster,
    doors: &Doors,
    shutdown: &Shutdown,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    // What people can look at, and what it is.
    let places = [("phones", doors.phones.as_deref())];
    let mut text = String::from("\nEverything goes on running, until Ctrl-C:\n");
    text.push_str(&ways_in::shown(&ways_in::ways_in(doors).await?));
    for (what, address) in places.into_iter().filter_map(|(what, address)| Some((what, address?))) {
        text.push_str(&format!("  {what:10} {address}/\n"));
    }
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .context("the addresses can not be printed")?;
    let interrupted = shutdown.token().cancelled_owned();
    tokio::select! {
        error = cluster.broken() => Err(error),
        () = interrupted => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_gives_way_to_any() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(free(port).port(), 0);
        drop(taken);
        assert_eq!(free(port).port(), port);
    }
}
