//! The Chat Completions API of OpenAI, which many servers speak: requests translated to it and streams translated from it.

mod completion;
mod content;
mod translate;

pub(crate) use completion::Completion;
pub(crate) use translate::translate;

/// What a request of the Messages API has that this API has no form for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untranslatable {
    /// A tool that only the Messages API's upstream runs.
    #[error("it has no tool of the type {0:?}; leave the tool out for this model")]
    Tool(String),
    /// A block of such a tool, or one that is not known.
    #[error("it has no content block of the type {0:?}")]
    Block(String),
    /// A picture or document that is given in a way of its own, such as by the id of a file.
    #[error(
        "it takes no {kind} whose source is of the type {source_type:?}; give it as base64 or a URL"
    )]
    Source {
        /// `image` or `document`.
        kind: &'static str,
        /// The source's type.
        source_type: String,
    },
    /// A block that belongs to the other role.
    #[error("a turn of the {role} has a block {block:?}, which is the other's")]
    Role {
        /// Whose turn.
        role: &'static str,
        /// The block's type.
        block: &'static str,
    },
}
