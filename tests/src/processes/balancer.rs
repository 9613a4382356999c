//! One address before several processes that do the same, as a load balancer or a Kubernetes service is.
//!
//! A connection goes to the next that takes it, in turn, and stays there. Surprising: it works on a thread of its own, so that it
//! goes on while a test blocks.

use std::{
    net::{SocketAddr, TcpListener as Bound},
    sync::Arc,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

/// Dropped, it cuts every connection.
#[derive(Debug)]
pub(super) struct Balancer(Option<Runtime>);

impl Balancer {
    /// Takes connections at `address` for those behind it.
    pub(super) fn start(address: SocketAddr, behind: Vec<SocketAddr>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // Taken at once, or the test has chosen another's port.
        let bound = Bound::bind(address).unwrap();
        bound.set_nonblocking(true).unwrap();
        runtime.spawn(serve(bound, behind.into()));
        Self(Some(runtime))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Waiting for the runtime's end isn't allowed where tests are.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(bound: Bound, behind: Arc<[SocketAddr]>) {
    let listener = TcpListener::from_std(bound).unwrap();
    let mut turn = 0;
    while let Ok((mut client, _)) = listener.accept().await {
        turn += 1;
        let behind = Arc::clone(&behind);
        tokio::spawn(async move {
            for place in 0..behind.len() {
                if let Ok(mut server) = TcpStream::connect(behind[(turn + place) % behind.len()]).await {
                    // However it ends, both ends hear of it.
                    let _ended = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}
