//! Which bytes may stand where.

/// `tchar` of RFC 9110, 5.6.2: methods and header names.
pub(crate) const TOKEN: u8 = 1;
/// Printable ASCII without space: request targets.
pub(crate) const TARGET: u8 = 2;
/// A registered name or IPv4 address as Kestrel and Http.sys take it: RFC 3986 without `*+,;=` and `%`.
pub(crate) const HOST: u8 = 4;
/// Kestrel's set for the authority form.
pub(crate) const AUTHORITY: u8 = 8;
/// Inside the brackets of an IPv6 address.
pub(crate) const IPV6: u8 = 16;

static CLASSES: [u8; 256] = classes();

/// Whether `byte` is in `class`.
#[inline(always)]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Index of the first byte that is not in `class`, or the length.
#[inline(always)]
pub(crate) fn run(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|&b| !is(b, class)).unwrap_or(bytes.len())
}

/// Whether all bytes are in `class`.
pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    run(bytes, class) == bytes.len()
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        if b.is_ascii_graphic() {
            table[byte] |= TARGET;
        }
        if b.is_ascii_alphanumeric() {
            table[byte] |= TOKEN | HOST | AUTHORITY;
        }
        if b.is_ascii_hexdigit() {
            table[byte] |= IPV6;
        }
        byte += 1;
    }
    add(&mut table, b"!#$%&'*+-.^_`|~", TOKEN);
    add(&mut table, b"!$&'()-._~", HOST);
    add(&mut table, b":.-[]@", AUTHORITY);
    add(&mut table, b":.", IPV6);
    table
}

const fn add(table: &mut [u8; 256], bytes: &[u8], class: u8) {
    let mut index = 0;
    while index < bytes.len() {
        table[bytes[index] as usize] |= class;
        index += 1;
    }
}
