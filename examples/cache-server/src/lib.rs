//! A cache server over TCP that `redis-cli` and `redis-benchmark` can talk to, and whose entries, expiry index and recency list live
//! in a [`linchpin`] heap: an example of a program of some size, in safe code.
//!
//! | module | idea |
//! | --- | --- |
//! | [`protocol`], [`reply`] | what comes and goes over the line |
//! | [`command`] | what the commands do |
//! | [`store`] | the entries, in the heap |
//! | [`server`] | connections, threads, the end |
//! | [`clock`] | the time, which tests set |

#![forbid(unsafe_code)]

pub mod clock;
pub mod command;
pub mod protocol;
pub mod reply;
pub mod server;
pub mod store;
