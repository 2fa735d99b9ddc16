//! The sessions of the index: each has a slot, which is used again after it has left.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    ops::Bound,
    sync::Arc,
};

use p2p_ci::{
    document::{Format, UnixSeconds},
    identity::{PeerName, ResumeToken, SessionId},
    message::{PeerLabel, Reachability},
};

use super::{Joining, Member, holdings::Holdings};

/// What never changes about a session. Shared, so that an answer can be built after the lock is free again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The session and its name.
    pub label: PeerLabel,
    /// The address that is handed out, or `None` for an observer.
    pub address: Option<SocketAddr>,
    /// When it registered.
    pub registered: UnixSeconds,
}

/// Documents of a session by format, in the order of [`Format::ALL`].
pub type Counts = [u32; Format::ALL.len()];

/// A registered session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) card: Arc<Card>,
    pub(super) token: ResumeToken,
    /// Whom the session counts for, by [`p2p_ci::address::accountable`].
    pub(super) account: IpAddr,
    /// Its place in the order of registration, from 1; never used twice.
    pub(super) number: u64,
    /// What it holds.
    pub(super) documents: Holdings,
}

/// What decides whether and where a session is among the holders of an answer. Kept apart from the rest and short, so that
/// those of ten thousand sessions stay in a processor's cache: lookups draw holders at random.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) card: Arc<Card>,
    /// Where it can be reached, if anywhere; the port is on the card.
    pub(super) ip: Option<IpAddr>,
    pub(super) reachability: Reachability,
    pub(super) upload_count: u32,
}

impl Standing {
    /// Of a session that has just joined.
    fn new(card: Arc<Card>) -> Self {
        Self {
            ip: card.address.map(|address| address.ip()),
            reachability: match card.address {
                Some(_) => Reachability::Pending,
                None => Reachability::Observer,
            },
            upload_count: 0,
            card,
        }
    }
}

impl Session {
    /// The session, as those know it who follow what happens.
    pub(super) fn member(&self) -> Member {
        Member {
            number: self.number,
            label: self.card.label.clone(),
        }
    }

    /// A session that has just joined and holds nothing.
    pub(super) fn new(joining: Joining, number: u64) -> Self {
        Self {
            card: Arc::new(Card {
                label: joining.label,
                address: joining.address,
                registered: joining.registered,
            }),
            token: joining.token,
            account: joining.account,
            number,
            documents: Holdings::default(),
        }
    }
}

/// Every registered session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: Vec<Option<Session>>,
    /// By slot, too.
    standings: Vec<Option<Standing>>,
    free: Vec<u32>,
    by_id: HashMap<SessionId, u32>,
    by_name: HashMap<PeerName, u32>,
    by_address: HashMap<SocketAddr, u32>,
    by_number: BTreeMap<u64, u32>,
    per_account: HashMap<IpAddr, usize>,
}

impl Sessions {
    /// Places that there are, used or free.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Number of sessions.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The session in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Session> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The session in a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The standing of the session in a slot.
    pub(super) fn standing(&self, slot: u32) -> Option<&Standing> {
        self.standings.get(slot as usize)?.as_ref()
    }

    /// The standing of the session in a slot.
    pub(super) fn standing_mut(&mut self, slot: u32) -> Option<&mut Standing> {
        self.standings.get_mut(slot as usize)?.as_mut()
    }

    /// The slot of a session, as long as it is registered.
    pub(super) fn slot(&self, id: SessionId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The session that goes by this name.
    pub(super) fn named(&self, name: &PeerName) -> Option<&Session> {
        self.get(*self.by_name.get(name)?)
    }

    /// The session that has this address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<&Session> {
        self.get(*self.by_address.get(&address)?)
    }

    /// Sessions that count for one source.
    pub(super) fn of_account(&self, account: IpAddr) -> usize {
        self.per_account.get(&account).copied().unwrap_or_default()
    }

    /// Sessions in order of registration, from behind number `after` on.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (&Session, &Standing)> {
        self.by_number
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter_map(|(_, slot)| Some((self.get(*slot)?, self.standing(*slot)?)))
    }

    /// Registers a session. Its id, name and address must not be registered.
    pub(super) fn insert(&mut self, session: Session) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.standings.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_id.insert(session.card.label.id, slot);
        self.by_name.insert(session.card.label.name.clone(), slot);
        if let Some(address) = session.card.address {
            self.by_address.insert(address, slot);
        }
        self.by_number.insert(session.number, slot);
        *self.per_account.entry(session.account).or_default() += 1;
        let places = (self.slots.get_mut(slot as usize), self.standings.get_mut(slot as usize));
        if let (Some(place), Some(standing)) = places {
            *standing = Some(Standing::new(Arc::clone(&session.card)));
            *place = Some(session);
        }
    }

    /// Ends a session and returns it with the slot that it had.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<(u32, Session)> {
        let slot = self.by_id.remove(&id)?;
        let session = self.slots.get_mut(slot as usize)?.take()?;
        if let Some(standing) = self.standings.get_mut(slot as usize) {
            *standing = None;
        }
        self.by_name.remove(&session.card.label.name);
        if let Some(address) = session.card.address {
            self.by_address.remove(&address);
        }
        self.by_number.remove(&session.number);
        if let Some(count) = self.per_account.get_mut(&session.account) {
            *count -= 1;
            if *count == 0 {
                self.per_account.remove(&session.account);
            }
        }
        self.free.push(slot);
        Some((slot, session))
    }
}
