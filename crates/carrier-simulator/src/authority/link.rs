//! The links of verification: `https://{method}.{carrier}.musubi.test/verify?aud=…&nonce=…`.

use musubi_domain::{Error, error::shape, id::CarrierId, identity::IdentityMethod};
use url::Url;

use super::key::host;

/// The longest audience and the longest nonce, in bytes.
const VALUE_LIMIT: usize = 512;

/// What a link says.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Which authority's page it opens.
    pub(super) method: IdentityMethod,
    /// For whom the assertion is.
    pub(super) audience: String,
    /// What binds it to one dialogue.
    pub(super) nonce: String,
}

impl Link {
    /// A link to one of this carrier's authorities; the error is about `url`.
    pub(super) fn parse(text: &str, carrier: &CarrierId) -> Result<Self, Error> {
        let refused = |problem: &str| {
            Error::invalid(
                "url",
                problem,
                "open the link as it stands in the suggestion, at the carrier that sent it",
            )
        };
        let url = Url::parse(text).map_err(|_| refused(&format!("{} is no address", shape(text))))?;
        let method = IdentityMethod::ALL
            .into_iter()
            .find(|method| url.host_str() == Some(host(*method, carrier).as_str()))
            .ok_or_else(|| refused("is at none of this carrier's authorities"))?;
        let plain = url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain || url.path() != "/verify" {
            return Err(refused("is no page of verification"));
        }
        let value = |name: &str| {
            let mut values =
                url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            values
                .next()
                .filter(|value| (1..=VALUE_LIMIT).contains(&value.len()) && values.next().is_none())
                .ok_or_else(|| refused(&format!("has not one {name} of 1 to {VALUE_LIMIT} bytes")))
        };
        Ok(Self { method, audience: value("aud")?, nonce: value("nonce")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Link, Error> {
        Link::parse(text, &"kumo".parse().unwrap())
    }

    #[test]
    fn a_link_says_who_verifies_for_whom_and_why() {
        let link = parse("https://jpki.kumo.musubi.test/verify?aud=bank%2F1&nonce=a%26b%3D%2B").unwrap();
        assert!(
            link == Link {
                method: IdentityMethod::Jpki,
                audience: "bank/1".to_owned(),
                nonce: "a&b=+".to_owned()
            }
        );
        let other_order = parse("https://carrier.kumo.musubi.test/verify?nonce=n&more=1&aud=a").unwrap();
        assert_eq!((other_order.method, other_order.nonce.as_str()), (IdentityMethod::Carrier, "n"));
    }

    #[test]
    fn what_is_no_link_of_ours_is_refused_at_url() {
        let long = format!("https://jpki.kumo.musubi.test/verify?aud=a&nonce={}", "n".repeat(513));
        for text in [
            "",
            "jpki.kumo.musubi.test/verify?aud=a&nonce=n",
            "http://jpki.kumo.musubi.test/verify?aud=a&nonce=n",
            "https://jpki.nami.musubi.test/verify?aud=a&nonce=n",
            "https://passport.kumo.musubi.test/verify?aud=a&nonce=n",
            "https://jpki.kumo.musubi.test.evil.test/verify?aud=a&nonce=n",
            "https://jpki.kumo.musubi.test:8443/verify?aud=a&nonce=n",
            "https://me@jpki.kumo.musubi.test/verify?aud=a&nonce=n",
            "https://jpki.kumo.musubi.test/other?aud=a&nonce=n",
            "https://jpki.kumo.musubi.test/verify?aud=a",
            "https://jpki.kumo.musubi.test/verify?aud=&nonce=n",
            "https://jpki.kumo.musubi.test/verify?aud=a&nonce=n&nonce=m",
            &long,
        ] {
            let Err(error) = parse(text) else { panic!("{text} passes") };
            assert_eq!(error.field, "url", "{text}");
        }
    }
}
