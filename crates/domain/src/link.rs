//! Where links in a company's messages may lead: to hosts on its own list, and nowhere else.
//!
//! A host is compared whole, as it stands behind `https://`. Surprising: nothing of an address is parsed here that a phone might parse
//! otherwise. Whoever writes a user, a port or a backslash before the first slash has written another host than any on the list.

use crate::Error;

/// The most hosts of a list.
pub const MOST_HOSTS: usize = 100;
/// The longest host, as DNS has it.
const LONGEST_HOST: usize = 253;

/// A company's list; empty: no message has a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkHosts(Vec<String>);

impl LinkHosts {
    /// Of hosts as they are configured: names of DNS, in any case.
    ///
    /// # Errors
    /// `link_hosts` when one is no such name, or there are more than [`MOST_HOSTS`].
    pub fn parse(hosts: &[String]) -> Result<Self, Error> {
        if hosts.len() > MOST_HOSTS {
            let problem = format!("{} hosts", hosts.len());
            return Err(Error::invalid("link_hosts", problem, format!("name at most {MOST_HOSTS}")));
        }
        let is_name = |host: &String| {
            let label = |label: &str| {
                let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                !label.is_empty()
                    && label.bytes().all(inside)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            };
            host.len() <= LONGEST_HOST && host.contains('.') && host.split('.').all(label)
        };
        match hosts.iter().position(|host| !is_name(host)) {
            None => Ok(Self(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())),
            Some(at) => {
                let remedy =
                    "write names of hosts alone, such as www.bank.example, without https:// and path";
                Err(Error::invalid("link_hosts", format!("the {}. is no host", at + 1), remedy))
            }
        }
    }

    /// The hosts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether an address may be opened from a message.
    ///
    /// # Errors
    /// `open_url.url` when its host is not on the list, or it is no https address.
    pub fn check_url(&self, url: &str) -> Result<(), Error> {
        let leads_home = url.strip_prefix("https://").is_some_and(|rest| self.has(rest));
        if leads_home { Ok(()) } else { Err(self.refusal("open_url.url")) }
    }

    /// Whether every link in a text may be shown: phones make a link of whatever has `://`.
    ///
    /// # Errors
    /// `text` when a link's host is not on the list, or it is no https address.
    pub fn check_text(&self, text: &str) -> Result<(), Error> {
        let links = text.match_indices("://").map(|(at, mark)| (&text[..at], &text[at + mark.len()..]));
        let is_https = |before: &str| {
            let scheme = before.len().checked_sub(5).and_then(|start| before.get(start..));
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
        };
        for (before, rest) in links {
            if !is_https(before) || !self.has(rest) {
                return Err(self.refusal("text"));
            }
        }
        Ok(())
    }

    /// Whether what stands behind `https://` begins with a host of the list, and nothing more of a host.
    fn has(&self, rest: &str) -> bool {
        let end =
            rest.find(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace()).unwrap_or(rest.len());
        self.0.iter().any(|host| host.eq_ignore_ascii_case(&rest[..end]))
    }

    fn refusal(&self, field: &str) -> Error {
        let problem = match self.0.len() {
            0 => "it leads somewhere, and the company's messages have no links".to_owned(),
            hosts => format!("it leads elsewhere than to the company's {hosts} hosts"),
        };
        let remedy = "link to a host of link_hosts by https://, or have the host added there; end it with a slash or a space";
        Error::invalid(field, problem, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[&str]) -> Result<LinkHosts, Error> {
        LinkHosts::parse(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn links_lead_to_the_companys_hosts_and_nowhere_else() {
        let list = hosts(&["Bank.example", "www.bank.example"]).unwrap();
        for good in [
            "https://bank.example",
            "https://BANK.example/a?b#c",
            "https://www.bank.example?x",
            "https://bank.example#y",
        ] {
            assert_eq!(list.check_url(good), Ok(()), "{good}");
            assert_eq!(list.check_text(&format!("ご案内 {good} まで")), Ok(()), "{good}");
        }
        for bad in [
            "http://bank.example/",
            "https://evil.example/",
            "https://bank.example.evil.example/",
            "https://evilbank.example/",
            "https://bank.example@evil.example/",
            "https://bank.example:443@evil.example/",
            "https://bank.example:8443/",
            "https://bank.example\\@evil.example/",
            "https://evil.example\\bank.example/",
            "https://bank.example./",
            "https://bank。example/",
            "https://ｂank.example/",
            "https://bank.example%2eevil.example/",
            "https://bank.example%00/",
            "https:///bank.example/",
            "https://",
            "https:/bank.example/",
            "HTTPS//bank.example",
            "ftp://bank.example/",
            "javascript://bank.example/%0aalert(1)",
            "xhttps://evil.example/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://[::ffff:10.0.0.1]/",
            "https://xn--bnk-5na.example/",
        ] {
            let error = list.check_url(bad).unwrap_err();
            assert!(error.field == "open_url.url" && !error.to_string().contains("evil"), "{error}");
            if bad.contains("://") {
                assert_eq!(
                    list.check_text(&format!("ご案内 {bad} まで")).unwrap_err().field,
                    "text",
                    "{bad}"
                );
            }
        }
        assert!(list.check_text("https://bank.example/ と https://evil.example/").is_err());
        assert_eq!(
            list.check_text("3://4 ではなく 3:4"),
            Err(list.refusal("text")),
            "what phones may take for one"
        );
        assert_eq!(list.check_text("日本 : // 円"), Ok(()));
    }

    #[test]
    fn without_a_list_there_are_no_links() {
        let none = LinkHosts::default();
        assert!(
            none.check_url("https://bank.example/").is_err()
                && none.check_text("https://bank.example/").is_err()
        );
        assert_eq!(none.check_text("残高 1,234 円"), Ok(()));
    }

    #[test]
    fn hosts_are_names_of_dns() {
        for bad in [
            "",
            "bank",
            "https://bank.example",
            "bank.example/",
            "*.bank.example",
            "bank..example",
            "-a.example",
            "bank.example:443",
            "銀行.example",
        ] {
            let error = hosts(&["bank.example", bad]).unwrap_err();
            assert!(error.field == "link_hosts" && error.problem.contains("2."), "{error}");
        }
        assert!(hosts(&vec!["bank.example"; MOST_HOSTS + 1]).is_err());
    }
}
