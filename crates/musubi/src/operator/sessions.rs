//! `musubi session list` and what `musubi session end` ends besides the session that calls.

use std::io::Write;

use clap::Args;
use musubi_domain::{Error, session::SessionId};
use musubi_proto::company::v1::{
    EndOwnSessionsRequest, EndSessionsRequest, ListOwnSessionsRequest, ListSessionsRequest,
    session_service_client::SessionServiceClient,
};
use musubi_runtime::grpc::client::PeerChannel;

use super::{
    listing::{Format, Listing},
    refused, unwritten,
    words::show_time,
};

/// Which sessions to list.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Everybody's, and the keys of machines; for administrators.
    #[arg(long)]
    everybody: bool,
    /// How to write them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Which sessions to end.
#[derive(Debug, Args)]
pub(super) struct Others {
    /// This one, as `musubi session list` shows it.
    #[arg(long, value_name = "ses_…")]
    session: Option<SessionId>,
    /// All of yours but the one that calls.
    #[arg(long, conflicts_with_all = ["session", "of"])]
    others: bool,
    /// Of this person, one or all; for administrators.
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
}

impl Others {
    /// Whether the session that calls is meant.
    pub(super) const fn is_own(&self) -> bool {
        self.session.is_none() && !self.others && self.of.is_none()
    }

    pub(super) async fn end(self, channel: PeerChannel, out: &mut dyn Write) -> Result<(), Error> {
        let mut client = SessionServiceClient::new(channel);
        let session_id = self.session.map(|id| id.to_string()).unwrap_or_default();
        let ended = match self.of {
            Some(name) => {
                let request = EndSessionsRequest { name, session_id };
                client.end_sessions(request).await.map_err(refused)?.into_inner().ended
            }
            None => {
                let request = EndOwnSessionsRequest { session_id };
                client.end_own_sessions(request).await.map_err(refused)?.into_inner().ended
            }
        };
        writeln!(out, "{ended} sessions ended").map_err(unwritten)
    }
}

impl List {
    pub(super) async fn run(self, channel: PeerChannel, out: &mut dyn Write) -> Result<(), Error> {
        let mut client = SessionServiceClient::new(channel);
        let sessions = if self.everybody {
            client.list_sessions(ListSessionsRequest {}).await.map_err(refused)?.into_inner().sessions
        } else {
            client.list_own_sessions(ListOwnSessionsRequest {}).await.map_err(refused)?.into_inner().sessions
        };
        let mut listing = Listing::new(&["session", "name", "by", "began", "last_used", "ends", "this"]);
        for session in sessions {
            let by = session.way().as_str_name().trim_start_matches("SESSION_WAY_").to_ascii_lowercase();
            let by = if by == "unspecified" { String::new() } else { by };
            let [began, used, ends] =
                [session.begin_time, session.use_time, session.end_time].map(|time| show_time(time.as_ref()));
            let this = if session.is_caller { "this one" } else { "" };
            listing.add([session.session_id, session.name, by, began, used, ends, this.to_owned()]);
        }
        listing.write(self.format, out)
    }
}
