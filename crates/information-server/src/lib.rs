//! The information-management server [20]: acquires, asks, confirms, distributes.
