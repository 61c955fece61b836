//! The files handed out.
