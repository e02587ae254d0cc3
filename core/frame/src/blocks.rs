//! Which frame is where.
//! Owns: the block table, the free lists of blocks and of frames in a block, what is in use, how
//! many frames may lie on the shelves (frames at home that no block knows of, taken first).
//! Must not know: addresses; a frame is a block number and a slot number here, and the link of
//! its free list is kept by whoever holds the memory.

use alloc::boxed::Box;
use alloc::vec;
use core::cell::Cell;

/// Octets of a block: one large frame, 32 full ones or 264 small ones, with nothing over.
pub(crate) const BLOCK_OCTETS: usize = 67_584;
/// Octets of the header in front of every frame.
pub(crate) const HEADER_OCTETS: usize = 32;
/// More blocks than this do not fit a frame's [`Place`] (about 130 GiB).
pub(crate) const MOST_BLOCKS: usize = 1 << 21;

const NO_BLOCK: u32 = u32::MAX;
const NO_SLOT: u16 = u16::MAX;

/// What a block is cut into. `Reserve` is `Small` frames that only control segments may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Small,
    Full,
    Large,
    Reserve,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Small, Kind::Full, Kind::Large, Kind::Reserve];

    /// Octets of one frame with its header.
    ///
    /// A full frame is an odd number of cache lines, so that the headers of a burst of frames
    /// spread over all sets of a cache; at 2048 they would share two of them.
    pub(crate) const fn octets(self) -> usize {
        match self {
            Kind::Small | Kind::Reserve => 256,
            Kind::Full => 2112,
            Kind::Large => BLOCK_OCTETS,
        }
    }
    /// Data octets of one frame.
    #[inline]
    pub(crate) const fn capacity(self) -> u32 {
        (self.octets() - HEADER_OCTETS) as u32
    }
    /// Most frames on the shelf: about as many as come and go while a window of data passes. A large
    /// one is a whole block.
    const fn shelf(self) -> u32 {
        match self {
            Kind::Small | Kind::Full => 2048,
            Kind::Large => 16,
            Kind::Reserve => 0,
        }
    }
    /// Frames in one block.
    pub(crate) const fn slots(self) -> u16 {
        (BLOCK_OCTETS / self.octets()) as u16
    }
}

const _: () = {
    assert!(Kind::Small.slots() == 264 && Kind::Full.slots() == 32);
    assert!(BLOCK_OCTETS.is_multiple_of(Kind::Full.octets()));
    assert!(Kind::Large.octets() - HEADER_OCTETS >= 65_535 + 128);
};

/// Data octets of the frames of each kind, and so many more.
const fn capacities(more: u32) -> [u32; 4] {
    [
        Kind::Small.capacity() + more,
        Kind::Full.capacity() + more,
        Kind::Large.capacity() + more,
        Kind::Reserve.capacity() + more,
    ]
}

/// Block, slot and kind of a frame in 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(u32);

impl Place {
    fn new(kind: Kind, block: u32, slot: u16) -> Place {
        Place(block << 11 | u32::from(slot) << 2 | kind as u32)
    }
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        Kind::ALL[self.line()]
    }
    /// Its kind as a number, below four.
    #[inline]
    pub(crate) fn line(self) -> usize {
        (self.0 & 3) as usize
    }
    /// Data octets of the frame: looked up, not branched for.
    #[inline]
    pub(crate) fn capacity(self) -> u32 {
        const CAPACITY: [u32; 4] = capacities(0);
        CAPACITY[self.line()]
    }
    /// Octets of the frame with its header: as above.
    #[inline]
    pub(crate) fn octets(self) -> u32 {
        const OCTETS: [u32; 4] = capacities(HEADER_OCTETS as u32);
        OCTETS[self.line()]
    }
    fn block(self) -> u32 {
        self.0 >> 11
    }
    fn slot(self) -> u16 {
        (self.0 >> 2 & 0x1FF) as u16
    }
    /// Octets from the start of the region to the frame.
    #[inline]
    pub(crate) fn octet_offset(self) -> usize {
        self.block() as usize * BLOCK_OCTETS + usize::from(self.slot()) * self.kind().octets()
    }
}

struct Block {
    next: Cell<u32>,
    previous: Cell<u32>,
    free: Cell<u16>,
    out: Cell<u16>,
    carved: Cell<u16>,
}

/// The blocks cut into one kind.
struct Line {
    /// First of those with a frame to give.
    head: Cell<u32>,
    /// The one kept although it is empty, so that one frame going out and in moves no block.
    spare: Cell<u32>,
    blocks: Cell<u32>,
    /// Frames that no block has: out, or on the shelf.
    out: Cell<u32>,
}

/// The block table of one pool.
pub(crate) struct Blocks {
    table: Box<[Block]>,
    lines: [Line; 4],
    /// Frames that each kind's shelf has room for.
    shelf_room: [Cell<u32>; 4],
    /// Blocks given back, last first.
    free: Cell<u32>,
    free_count: Cell<u32>,
    /// Blocks from here on were never used: their memory is untouched.
    untouched: Cell<u32>,
    /// Blocks in use, and the most there ever were.
    used: Cell<u32>,
    peak: Cell<u32>,
    /// While no more are in use, an eighth of all or more serve no kind.
    roomy: u32,
}

impl Blocks {
    /// `count` blocks, `reserved` of them for the reserve.
    pub(crate) fn new(count: usize, reserved: usize) -> Blocks {
        assert!(reserved < count && count <= MOST_BLOCKS);
        let empty = || Block {
            next: Cell::new(NO_BLOCK),
            previous: Cell::new(NO_BLOCK),
            free: Cell::new(NO_SLOT),
            out: Cell::new(0),
            carved: Cell::new(0),
        };
        let mut table = vec::Vec::with_capacity(count);
        table.resize_with(count, empty);
        let line = |_| Line {
            head: Cell::new(NO_BLOCK),
            spare: Cell::new(NO_BLOCK),
            blocks: Cell::new(0),
            out: Cell::new(0),
        };
        let blocks = Blocks {
            table: table.into_boxed_slice(),
            lines: Kind::ALL.map(line),
            shelf_room: Kind::ALL.map(|kind| Cell::new(kind.shelf())),
            free: Cell::new(NO_BLOCK),
            free_count: Cell::new(0),
            untouched: Cell::new(0),
            used: Cell::new(0),
            peak: Cell::new(0),
            roomy: (count - count.div_ceil(8)) as u32,
        };
        for _ in 0..reserved {
            blocks.open_block(Kind::Reserve);
        }
        blocks
    }

    /// A frame of `kind`; `link_of` reads the link that [`Blocks::give`] handed out for a place.
    /// `None`: the budget is used up.
    pub(crate) fn take(&self, kind: Kind, link_of: impl Fn(Place) -> u16) -> Option<Place> {
        let line = &self.lines[kind as usize];
        let mut at = line.head.get();
        if at == NO_BLOCK {
            if kind == Kind::Reserve {
                return None;
            }
            at = self.open_block(kind)?;
        }
        let block = &self.table[at as usize];
        let free = block.free.get();
        let place = if free == NO_SLOT {
            let slot = block.carved.get();
            block.carved.set(slot + 1);
            Place::new(kind, at, slot)
        } else {
            let place = Place::new(kind, at, free);
            block.free.set(link_of(place));
            place
        };
        let out = block.out.get() + 1;
        block.out.set(out);
        if out == 1 && line.spare.get() == at {
            line.spare.set(NO_BLOCK);
        }
        if out == kind.slots() {
            self.unlink(line, at);
        }
        line.out.set(line.out.get() + 1);
        Some(place)
    }

    /// Takes a frame back. The answer is the link to keep for it until it is taken again.
    pub(crate) fn give(&self, place: Place) -> u16 {
        let (kind, at) = (place.kind(), place.block());
        let line = &self.lines[kind as usize];
        let block = &self.table[at as usize];
        let link = block.free.replace(place.slot());
        let out = block.out.get();
        if out == kind.slots() {
            self.link_front(line, at);
        }
        block.out.set(out - 1);
        if out == 1 && kind != Kind::Reserve {
            self.settle_empty(line, at);
        }
        line.out.set(line.out.get() - 1);
        link
    }

    /// Whether a frame of the kind with number `line` goes on its shelf; counts it there if so.
    #[inline]
    pub(crate) fn shelve(&self, line: usize) -> bool {
        let room = &self.shelf_room[line];
        match room.get() {
            0 => false,
            some => {
                room.set(some - 1);
                true
            }
        }
    }
    /// A frame was taken off its kind's shelf.
    #[inline]
    pub(crate) fn unshelve(&self, kind: Kind) {
        let room = &self.shelf_room[kind as usize];
        room.set(room.get() + 1);
    }

    /// Frames of a kind that are out.
    pub(crate) fn out(&self, kind: Kind) -> u32 {
        let shelved = kind.shelf() - self.shelf_room[kind as usize].get();
        self.lines[kind as usize].out.get() - shelved
    }
    /// Frames of a kind in all the blocks cut into it.
    pub(crate) fn total(&self, kind: Kind) -> u32 {
        self.lines[kind as usize].blocks.get() * u32::from(kind.slots())
    }
    /// Octets of all frames that are out.
    pub(crate) fn used_octets(&self) -> usize {
        Kind::ALL.iter().map(|kind| self.out(*kind) as usize * kind.octets()).sum()
    }
    /// The most octets of blocks that were cut at one time.
    pub(crate) fn peak_octets(&self) -> usize {
        self.peak.get() as usize * BLOCK_OCTETS
    }
    /// Octets of all blocks.
    pub(crate) fn budget_octets(&self) -> usize {
        self.table.len() * BLOCK_OCTETS
    }
    /// Octets that data can still be put in: whole blocks, and full frames of blocks in use.
    /// Holes among small frames do not count: no segment fits them.
    pub(crate) fn available_octets(&self) -> usize {
        let untouched = self.table.len() - self.untouched.get() as usize;
        let spares = [Kind::Small, Kind::Large]
            .iter()
            .filter(|kind| self.lines[**kind as usize].spare.get() != NO_BLOCK)
            .count();
        let frames = self.total(Kind::Full) - self.out(Kind::Full);
        (untouched + self.free_count.get() as usize + spares) * BLOCK_OCTETS
            + frames as usize * Kind::Full.octets()
    }

    /// Whether the blocks that serve no kind are an eighth of all: the short way to know that
    /// there is room.
    #[inline]
    pub(crate) fn has_an_eighth_unopened(&self) -> bool {
        self.used.get() <= self.roomy
    }

    /// Gives `kind` one more block, and puts it in front of its list.
    #[cold]
    fn open_block(&self, kind: Kind) -> Option<u32> {
        let at = self.pop_free().or_else(|| self.bump()).or_else(|| self.rob_a_spare())?;
        let block = &self.table[at as usize];
        block.free.set(NO_SLOT);
        block.out.set(0);
        block.carved.set(0);
        let line = &self.lines[kind as usize];
        line.blocks.set(line.blocks.get() + 1);
        self.used.set(self.used.get() + 1);
        self.peak.set(self.peak.get().max(self.used.get()));
        self.link_front(line, at);
        Some(at)
    }

    fn pop_free(&self) -> Option<u32> {
        let at = self.free.get();
        if at == NO_BLOCK {
            return None;
        }
        self.free.set(self.table[at as usize].next.get());
        self.free_count.set(self.free_count.get() - 1);
        Some(at)
    }

    fn bump(&self) -> Option<u32> {
        let at = self.untouched.get();
        if at as usize == self.table.len() {
            return None;
        }
        self.untouched.set(at + 1);
        Some(at)
    }

    /// The empty block another kind keeps, when nothing else is left.
    fn rob_a_spare(&self) -> Option<u32> {
        let line = self.lines.iter().find(|line| line.spare.get() != NO_BLOCK)?;
        let at = line.spare.replace(NO_BLOCK);
        self.unlink(line, at);
        line.blocks.set(line.blocks.get() - 1);
        self.used.set(self.used.get() - 1);
        Some(at)
    }

    /// A block all of whose frames are home becomes the spare, and the spare before it goes back:
    /// the one just used is the warmer one.
    fn settle_empty(&self, line: &Line, at: u32) {
        let old = line.spare.replace(at);
        if old == NO_BLOCK {
            return;
        }
        self.unlink(line, old);
        line.blocks.set(line.blocks.get() - 1);
        self.used.set(self.used.get() - 1);
        self.table[old as usize].next.set(self.free.replace(old));
        self.free_count.set(self.free_count.get() + 1);
    }

    fn link_front(&self, line: &Line, at: u32) {
        let head = line.head.replace(at);
        let block = &self.table[at as usize];
        block.next.set(head);
        block.previous.set(NO_BLOCK);
        if head != NO_BLOCK {
            self.table[head as usize].previous.set(at);
        }
    }

    fn unlink(&self, line: &Line, at: u32) {
        let block = &self.table[at as usize];
        let (previous, next) = (block.previous.get(), block.next.get());
        if previous == NO_BLOCK {
            line.head.set(next);
        } else {
            self.table[previous as usize].next.set(next);
        }
        if next != NO_BLOCK {
            self.table[next as usize].previous.set(previous);
        }
    }
}
