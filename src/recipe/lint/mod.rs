//! What a recipe must not or should not say although each of its values is right by itself.

mod access;
mod placeholders;
mod ports;
mod users;

pub use access::access;
pub use placeholders::options as placeholder_options;
pub use ports::well_known_ports;
pub use users::{groups, names, users};
