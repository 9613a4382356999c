//! Each node's store: traits, SQLite behind them, one conformance suite.
