//! The wire: generated code, every conversion between wire and domain, and who may call what.
//!
//! Only the conversions see raw strings; past them, types make wrong states unsayable. No rule lives here. Surprising: no
//! wire message implements `Debug`, because any of them may carry personal data.

pub mod callers;
pub mod convert;

/// The descriptors of every contract, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

macro_rules! package {
    ($(#[$lint:meta])* $area:ident, $package:literal, $doc:literal) => {
        #[doc = $doc]
        pub mod $area {
            #[doc = $doc]
            $(#[$lint])*
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

package!(r#type, "musubi.r#type.v1", "Words that every node uses in the same sense.");
package!(
    #[expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::disallowed_methods,
        reason = "generated"
    )]
    carrier,
    "musubi.carrier.v1",
    "What a carrier offers."
);
package!(
    #[expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::disallowed_methods,
        reason = "generated"
    )]
    company,
    "musubi.company.v1",
    "What a company server offers."
);
package!(
    #[expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::disallowed_methods,
        reason = "generated"
    )]
    information,
    "musubi.information.v1",
    "What the information-management server offers."
);
package!(
    #[expect(
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::disallowed_methods,
        reason = "generated"
    )]
    terminal,
    "musubi.terminal.v1",
    "What the terminal simulator offers."
);
