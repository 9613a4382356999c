//! The information-management server \[20\]: acquires subscriber lists \[230\], asks followers \[231\], confirms who is a
//! customer \[232\], and distributes messages.

pub mod directory;
