//! Where in an image something occurs: its suffixes in order.

/// Longest stretch that is compared to find a place in the order.
const DEPTH: usize = 512;

/// The suffixes of an image in order.
pub(super) struct Index<'a> {
    text: &'a [u8],
    order: Vec<i32>,
    /// For each first two bytes, where in `order` their suffixes begin; one more at the end.
    starts: Vec<u32>,
}

impl<'a> Index<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let mut order = vec![0; text.len()];
        divsufsort::sort_in_place(text, &mut order);
        let mut starts = vec![0_u32; (1 << 16) + 1];
        for pair in text.windows(2) {
            starts[key(pair) + 1] += 1;
        }
        // The last suffix has one byte: it stands before all that begin with this byte and another one.
        if let Some(&last) = text.last() {
            starts[key(&[last, 0])] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self {
            text,
            order,
            starts,
        }
    }

    /// Puts the places where the start of `needle` occurs into `found`, `around` on each side of its place in the order,
    /// if they have at least `least` bytes in common with it.
    pub(super) fn places(
        &self,
        needle: &[u8],
        around: usize,
        least: usize,
        found: &mut Vec<(usize, usize)>,
    ) {
        found.clear();
        if needle.len() < least.max(2) {
            return;
        }
        let key = key(needle);
        let (low, high) = (self.starts[key] as usize, self.starts[key + 1] as usize);
        let cut = &needle[..needle.len().min(DEPTH)];
        let bucket = &self.order[low..high];
        let middle = low
            + bucket.partition_point(|&at| {
                let suffix = &self.text[at as usize..];
                &suffix[..suffix.len().min(DEPTH)] < cut
            });
        let mut look = |range: &mut dyn Iterator<Item = usize>| {
            for slot in range.take(around) {
                let at = self.order[slot] as usize;
                let common = common(&self.text[at..], needle);
                if common < least {
                    break;
                }
                found.push((at, common));
            }
        };
        look(&mut (middle..high));
        look(&mut (low..middle).rev());
    }
}

fn key(pair: &[u8]) -> usize {
    usize::from(pair[0]) << 8 | usize::from(pair[1])
}

/// How many bytes both begin with.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let whole = a
        .chunks_exact(16)
        .zip(b.chunks_exact(16))
        .take_while(|(a, b)| a == b)
        .count();
    let at = whole * 16;
    at + a[at..]
        .iter()
        .zip(&b[at..])
        .take_while(|(a, b)| a == b)
        .count()
}
