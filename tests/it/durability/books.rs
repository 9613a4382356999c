//! The information-management servers' PostgreSQL database, held against itself.
//!
//! Asked by `psql`, which comes with the server, because no test names a driver. Surprising: nothing here may change anything or
//! depend on an index; whole tables are counted anew.

use std::process::Command;

use musubi_servers::Server;
use musubi_storage::create_database;

/// What must find nothing, with what it means. Every query gives one line for each fault.
const FAULTS: [(&str, &str); 7] = [
    (
        "tally of deliveries, counted",
        "SELECT * FROM
            (SELECT official_account, carrier, distribution, purpose, state, sum(count) AS kept FROM delivery_tally
             GROUP BY 1, 2, 3, 4, 5 HAVING sum(count) <> 0) AS t
         FULL JOIN
            (SELECT official_account, carrier, distribution, purpose, state, count(*) AS counted FROM delivery
             GROUP BY 1, 2, 3, 4, 5) AS d USING (official_account, carrier, distribution, purpose, state)
         WHERE kept IS DISTINCT FROM counted",
    ),
    (
        "tally of followers, counted",
        "SELECT * FROM
            (SELECT official_account, carrier, following, state, reached, sum(count) AS kept FROM follower_tally
             GROUP BY 1, 2, 3, 4, 5 HAVING sum(count) <> 0) AS t
         FULL JOIN
            (SELECT f.official_account, f.carrier, f.following, coalesce(d.state, -1) AS state,
                    coalesce(d.reached, 0) AS reached, count(*) AS counted
             FROM follower AS f LEFT JOIN dialogue AS d USING (official_account, follower)
             GROUP BY 1, 2, 3, 4, 5) AS f USING (official_account, carrier, following, state, reached)
         WHERE kept IS DISTINCT FROM counted",
    ),
    (
        "tie without its customer, or a customer without its tie",
        "SELECT official_account, customer_id, t.follower, c.follower FROM customer_information AS t
         FULL JOIN tied_customer AS c USING (official_account, customer_id)
         WHERE t.follower IS DISTINCT FROM c.follower",
    ),
    (
        "follower who follows by no list, or does not though a list says so",
        "SELECT official_account, follower, f.following, s.listed FROM follower AS f
         FULL JOIN (SELECT official_account, follower, bool_or(following) AS listed FROM subscription GROUP BY 1, 2) AS s
             USING (official_account, follower)
         WHERE f.following IS DISTINCT FROM s.listed",
    ),
    (
        "message refused to a follower",
        "SELECT official_account, distribution, message_id, purpose FROM delivery
         JOIN follower USING (official_account, follower) WHERE state = 5 AND following",
    ),
    ("identity that was kept beyond the match", "SELECT official_account, follower FROM inquiry"),
    (
        "delivery that waits, or is under lease",
        "SELECT official_account, distribution, message_id, purpose, state, attempts, to_timestamp(due_time / 1e6)
         FROM delivery WHERE state < 2",
    ),
];

/// Deliveries that wait, are under lease, or are at the carrier.
const IN_FLIGHT: &str = "SELECT count(*) FROM delivery WHERE state < 3";

/// The database.
pub(super) struct Books {
    url: String,
}

impl Books {
    /// A new, empty one.
    pub(super) async fn open(server: &Server) -> Self {
        Self { url: create_database(&server.url(), "information").await.unwrap() }
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How many deliveries are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.ask(IN_FLIGHT).trim().parse().unwrap()
    }

    /// The most attempts that a delivery had.
    pub(super) fn most_attempts(&self) -> usize {
        self.ask("SELECT coalesce(max(attempts), 0) FROM delivery").trim().parse().unwrap()
    }

    /// What doesn't add up.
    pub(super) fn faults(&self) -> Vec<String> {
        let found = FAULTS.iter().flat_map(|(what, query)| {
            let lines = self.ask(query);
            lines.lines().map(|line| format!("{what}: {line}")).collect::<Vec<_>>()
        });
        found.collect()
    }

    fn ask(&self, query: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--command",
            query,
        ]);
        // What stands behind is the driver's.
        let output = psql.arg(self.url.split('?').next().unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
