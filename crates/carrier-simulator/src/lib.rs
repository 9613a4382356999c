//! The carrier RCS simulator [30]: official accounts, subscriber lists, messages in flight.
