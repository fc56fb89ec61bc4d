//! Which broken meshes are tried with which scenario files.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::File;
use crate::mutant::{Mutant, mutants};

/// What to try.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The broken meshes.
    pub mutants: Vec<&'static Mutant>,
    /// With which files.
    pub pairs: Pairs,
    /// Only some of the pairs.
    pub sample: Option<Sample>,
    /// Whether all files are tried without any mesh, too.
    pub null: bool,
}

/// With which files a broken mesh is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// With those that say that they kill it.
    Declared,
    /// With all.
    All,
}

/// Some of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How many.
    pub size: usize,
    /// Decides which.
    pub seed: u64,
}

impl Default for Plan {
    /// All that is declared, and the null mesh.
    fn default() -> Self {
        Self { mutants: mutants().iter().collect(), pairs: Pairs::Declared, sample: None, null: true }
    }
}

impl Plan {
    /// The pairs to try: broken meshes, with places of files.
    pub(super) fn pairs(&self, files: &[File]) -> Vec<(&'static Mutant, usize)> {
        let mut pairs = Vec::new();
        for mutant in &self.mutants {
            let fits = |file: &File| self.pairs == Pairs::All || file.kills.contains(mutant.name);
            pairs.extend((0..files.len()).filter(|i| fits(&files[*i])).map(|i| (*mutant, i)));
        }
        if let Some(Sample { size, seed }) = self.sample {
            pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            pairs.truncate(size);
        }
        pairs
    }
}
