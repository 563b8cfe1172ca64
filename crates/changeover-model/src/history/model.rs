//! The models that histories are judged by.

use super::Op;
use std::fmt;

/// What an operation works on, and so what makes its answer right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// A value that is read, written, and compared and swapped.
    Register,
    /// A set that is added to and read whole.
    Set,
    /// A number that is added to and read.
    Counter,
    /// Lists that transactions append to and read.
    Append,
    /// Accounts that money moves between, read all at once.
    Bank,
}

impl Model {
    /// All of them, in the order of the contract.
    pub const ALL: [Model; 5] = [
        Model::Register,
        Model::Set,
        Model::Counter,
        Model::Append,
        Model::Bank,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Model::Register => "register",
            Model::Set => "set",
            Model::Counter => "counter",
            Model::Append => "append",
            Model::Bank => "bank",
        }
    }

    /// The model of that name.
    pub fn named(name: &str) -> Option<Model> {
        Model::ALL.into_iter().find(|model| model.name() == name)
    }

    /// What can be done in it.
    pub fn operations(self) -> &'static [Op] {
        match self {
            Model::Register => &[Op::Read, Op::Write, Op::Cas],
            Model::Set | Model::Counter => &[Op::Add, Op::Read],
            Model::Append => &[Op::Txn],
            Model::Bank => &[Op::Transfer, Op::Read],
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
