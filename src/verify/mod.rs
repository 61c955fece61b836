//! Image to proof: the shipped bytes are booted and questioned.
//!
//! [`prove`] boots the image read-only under a throw-away overlay, once for each firmware, and carries out the
//! checks that apply to its plan. Nothing of the test is in the image, and its digest is the same afterwards.

mod accelerator;
mod addresses;
mod agent;
mod card;
pub mod check;
mod console;
mod copies;
mod firmware;
mod frozen;
mod hardware;
mod hosts;
mod interactive;
mod lab;
mod machine;
mod mutate;
mod overlay;
mod own;
mod page;
mod prove;
mod qemu;
mod qmp;
mod report;
mod scripted;
mod shifts;
mod state;
#[cfg(test)]
mod testing;
mod text;

pub use accelerator::{Accelerator, Clock};
pub use agent::{Lost, Ran};
pub use check::{Check, Checks, Selection, files_below, schema as checks_schema};
pub use firmware::Firmware;
pub use interactive::{RunSpec, run};
pub use machine::{Machine, MachineSpec};
pub use mutate::{Fate, Mutant, applicable, mutants, mutate, told};
pub use page::requirement;
pub use prove::{ProofSpec, checks, foresee, list, prove};
pub use report::{
    CheckResult, Evidence, MachineOutcome, MachineResult, Outcome, Proof, Subject, Verdict, proof_schema,
};
pub use scripted::run_script;
