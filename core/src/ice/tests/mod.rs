//! The gatherer against servers that answer whatever a test wants.

mod hostile;
mod redirection;
mod reflexive;
mod refresh;
mod rig;
mod rotation;
