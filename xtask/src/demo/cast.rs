//! Who plays: the peers, what each of them shares, and the RFCs that the steps are about.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::{
    cluster::Cluster,
    console,
    documents::{self, Rfc, SAMPLE_FOLDERS},
    workspace,
};

/// Names for the first peers; further ones are called peer11, peer12 and so on.
const NAMES: [&str; 10] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy",
];

/// One peer.
#[derive(Debug, Clone)]
pub struct Member {
    /// The peer's name, which is also that of its folder.
    pub name: String,
    /// What its folder holds at the start.
    pub rfcs: Vec<Rfc>,
}

/// The peers and their parts.
#[derive(Debug)]
pub struct Cast {
    /// All peers; the last one starts with nothing.
    pub members: Vec<Member>,
    /// The RFC to look up and download: the longest one of the first peer.
    pub wanted: Rfc,
    /// The RFC of the second peer that vanishes when that one is killed.
    pub lost: Rfc,
    /// The RFC of the third peer that is dropped into the folder of the second.
    pub dropped: Rfc,
    /// A number that no peer has.
    pub missing: u32,
    /// A number for a document that is no RFC: one so large that its download can be caught in the middle.
    pub stand_in: u32,
}

impl Cast {
    /// Deals the RFCs of a folder, or the samples, out to `peers` peers, and fills the peers' folders.
    pub fn choose(folder: Option<&Path>, peers: usize, cluster: &Cluster) -> Result<Self> {
        let sharing = peers.saturating_sub(1);
        let hands = match folder {
            Some(folder) => {
                let folder = std::path::absolute(folder)?;
                let dealt = documents::scan(&folder).and_then(|rfcs| documents::deal(rfcs, sharing));
                dealt.with_context(|| format!("cannot use the RFCs of {}", folder.display()))?
            }
            None => sample_hands(sharing)?,
        };
        let name = |index: usize| {
            NAMES
                .get(index)
                .map_or_else(|| format!("peer{}", index + 1), |&n| n.to_owned())
        };
        let hands = hands.into_iter().chain([vec![]]).enumerate();
        let members: Vec<Member> = hands
            .map(|(index, rfcs)| Member {
                name: name(index),
                rfcs,
            })
            .collect();
        let cast = Self::with_parts(members)?;
        cast.fill_folders(cluster)?;
        Ok(cast)
    }

    fn with_parts(members: Vec<Member>) -> Result<Self> {
        let hand = |index: usize| {
            members
                .get(index)
                .map(|member| member.rfcs.iter())
                .into_iter()
                .flatten()
        };
        let none = || anyhow!("a peer was dealt no RFC");
        let wanted = hand(0).max_by_key(|rfc| rfc.bytes).ok_or_else(none)?.clone();
        let lost = hand(1).min_by_key(|rfc| rfc.bytes).ok_or_else(none)?.clone();
        let dropped = hand(2).min_by_key(|rfc| rfc.bytes).ok_or_else(none)?.clone();
        let taken = |number: &u32| {
            members
                .iter()
                .flat_map(|member| &member.rfcs)
                .any(|rfc| rfc.number == *number)
        };
        let free = |mut candidates: std::ops::RangeInclusive<u32>| {
            candidates
                .find(|number| !taken(number))
                .ok_or_else(|| anyhow!("the folder holds too many RFCs"))
        };
        let (missing, stand_in) = (free(9999..=89_999)?, free(99_999..=199_999)?);
        Ok(Self {
            wanted,
            lost,
            dropped,
            missing,
            stand_in,
            members,
        })
    }

    fn fill_folders(&self, cluster: &Cluster) -> Result<()> {
        for member in &self.members {
            let folder = cluster.make_folder(&member.name)?;
            for file in member.rfcs.iter().flat_map(|rfc| &rfc.files) {
                crate::wait::check_interrupt()?;
                documents::copy_into(file, &folder)?;
            }
        }
        Ok(())
    }

    /// The name of the first peer: downloads come from it.
    pub fn source(&self) -> &str {
        self.name(0)
    }

    /// The name of the second peer, which gets killed.
    pub fn victim(&self) -> &str {
        self.name(1)
    }

    /// The name of the third peer.
    pub fn third(&self) -> &str {
        self.name(2)
    }

    /// The name of the last peer, whose folder is empty at first.
    pub fn newcomer(&self) -> &str {
        self.name(self.members.len().saturating_sub(1))
    }

    fn name(&self, index: usize) -> &str {
        self.members.get(index).map_or("", |member| &member.name)
    }

    /// "20 RFCs", for a sentence.
    pub fn rfc_count(&self) -> String {
        console::count(self.members.iter().map(|member| member.rfcs.len()).sum(), "real RFC")
    }

    /// Every RFC with the name of the peer that shares it at the start.
    pub fn holdings(&self) -> impl Iterator<Item = (&str, &Rfc)> {
        self.members
            .iter()
            .flat_map(|member| member.rfcs.iter().map(|rfc| (member.name.as_str(), rfc)))
    }
}

/// The samples: their three folders as they are for three peers, else all of them dealt out.
fn sample_hands(sharing: usize) -> Result<Vec<Vec<Rfc>>> {
    let samples = workspace::root().join("xtask/samples");
    let folders: Vec<Vec<Rfc>> = SAMPLE_FOLDERS
        .iter()
        .map(|folder| documents::scan(&samples.join(folder)))
        .collect::<Result<_>>()?;
    if folders.len() == sharing {
        return Ok(folders);
    }
    documents::deal(folders.concat(), sharing)
}

/// Where the text of an RFC lies in a folder.
pub fn text_file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("rfc{number}.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_give_the_parts_that_the_story_tells_of() {
        let mut members: Vec<Member> = sample_hands(3)
            .unwrap()
            .into_iter()
            .zip(SAMPLE_FOLDERS)
            .map(|(rfcs, name)| Member {
                name: name.to_owned(),
                rfcs,
            })
            .collect();
        members.push(Member {
            name: "dave".to_owned(),
            rfcs: vec![],
        });
        let cast = Cast::with_parts(members).unwrap();
        assert_eq!(
            (cast.wanted.number, cast.lost.number, cast.dropped.number),
            (9110, 1149, 2324)
        );
        assert_eq!((cast.missing, cast.stand_in), (9999, 99_999));
        assert_eq!(
            [cast.source(), cast.victim(), cast.third(), cast.newcomer()],
            ["alice", "bob", "carol", "dave"]
        );
        assert_eq!(cast.rfc_count(), "20 real RFCs");
    }

    #[test]
    fn more_peers_share_the_samples_evenly() {
        let sizes: Vec<usize> = sample_hands(6).unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [4, 4, 3, 3, 3, 3]);
    }
}
