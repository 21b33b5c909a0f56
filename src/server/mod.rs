//! The server: its state, listeners, HTTP interface, admin interface, reload and limits.

pub mod admin;
pub mod http;
pub mod limits;
pub mod listener;
pub mod reload;
pub mod routes;
pub mod state;
