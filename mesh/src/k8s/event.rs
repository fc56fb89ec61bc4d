//! What a watch of one kind tells.

/// Something that happened to the objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T, G = T> {
    /// These are all.
    Listed(Vec<T>),
    /// One is new, or has new content.
    Put(T),
    /// One is gone.
    Gone(G),
    /// The cluster does not define the kind: there are none.
    Missing,
}

impl<T, G> Event<T, G> {
    /// The same about other content.
    pub fn map<U, H>(self, item: impl Fn(T) -> U, gone: impl Fn(G) -> H) -> Event<U, H> {
        match self {
            Self::Listed(all) => Event::Listed(all.into_iter().map(item).collect()),
            Self::Put(one) => Event::Put(item(one)),
            Self::Gone(one) => Event::Gone(gone(one)),
            Self::Missing => Event::Missing,
        }
    }
}
