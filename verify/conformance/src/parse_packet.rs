//! From text to packets. Owns: IP marks, flags, numbers, options. Must not know: the stack.

use crate::cursor::Cursor;
use crate::script::{EcnWanted, Packet, Stop};
use crate::wire::{
    ECN_NAMES_172, ECN_NAMES_174, FAST_OPEN_EXPERIMENT, Opt, flag_bit, options_length,
};

/// The rest of a packet line, after its arrow.
pub fn packet(cursor: &mut Cursor<'_>, inbound: bool) -> Result<Packet, Stop> {
    let mut packet = Packet { options: Some(Vec::new()), ..Packet::default() };
    for (open, close) in [("[", "]"), ("(", ")")] {
        if cursor.eat(open) {
            ip_marks(cursor, &mut packet, close)?;
        }
    }
    cursor.skip();
    for word in ["icmp", "udp", "gre", "mpls", "ipv4", "ipv6"] {
        if cursor.rest().starts_with(word) {
            return Err(Stop::unsupported(cursor.line(), format!("`{word}` packets")));
        }
    }
    packet.ports = ports(cursor);
    flags(cursor, &mut packet)?;
    let first: i64 = cursor.number()?;
    cursor.expect(":")?;
    let last: i64 = cursor.number()?;
    cursor.expect("(")?;
    packet.length = cursor.fitting::<u16>("length")?.into();
    cursor.expect(")")?;
    packet.seq = u32::try_from(first).map_err(|_| cursor.error("sequence number out of range"))?;
    if last as u32 != packet.seq.wrapping_add(packet.length) {
        return Err(cursor.error("the sequence range and the length do not agree"));
    }
    fields(cursor, &mut packet)?;
    let headers = 60 + packet.options.as_ref().map_or(0, |all| options_length(all) as u32);
    if inbound && packet.length + headers > u32::from(u16::MAX) {
        return Err(cursor.error("an inbound packet beyond 65535 octets"));
    }
    if inbound && packet.window.is_none() {
        return Err(cursor.error("an inbound packet needs `win`"));
    }
    if packet.flags & 0x10 != 0 && packet.ack.is_none() {
        return Err(cursor.error("`.` without `ack N`"));
    }
    if !inbound && packet.flags >> 9 != 0 {
        return Err(cursor.error("`reserved` and `offset` are of inbound packets"));
    }
    if inbound && packet.options.is_none() {
        return Err(cursor.error("`<...>` in an inbound packet"));
    }
    Ok(packet)
}

fn fields(cursor: &mut Cursor<'_>, packet: &mut Packet) -> Result<(), Stop> {
    loop {
        let before = cursor.clone();
        match cursor.word() {
            "ack" => packet.ack = Some(cursor.fitting("acknowledgement number")?),
            "win" => packet.window = Some(cursor.fitting("window")?),
            "urg" => packet.urgent = cursor.fitting("urgent pointer")?,
            "reserved" => packet.flags |= header_bits(cursor, 7)? << 9,
            "offset" => packet.flags |= header_bits(cursor, 15)? << 12,
            _ => {
                *cursor = before;
                break;
            }
        }
    }
    // Every event begins with its time: a `<` here can only begin options.
    cursor.skip();
    if cursor.rest().starts_with('<') {
        cursor.advance(1);
        packet.options = options(cursor)?;
    }
    let length = packet.options.as_ref().map_or(0, |all| options_length(all));
    if !length.is_multiple_of(4) || length > 40 {
        return Err(cursor.error("the options do not fill whole words, or are more than 40 octets"));
    }
    Ok(())
}

/// A field of the header that only a peer gets wrong.
fn header_bits(cursor: &mut Cursor<'_>, most: u16) -> Result<u16, Stop> {
    let before = cursor.clone();
    let value = cursor.fitting("header field")?;
    if value > most { Err(before.error("header field out of range")) } else { Ok(value) }
}

fn ip_marks(cursor: &mut Cursor<'_>, packet: &mut Packet, close: &str) -> Result<(), Stop> {
    loop {
        match cursor.word() {
            "noecn" => packet.ecn = Some(EcnWanted::Bits(0)),
            "ect1" => packet.ecn = Some(EcnWanted::Bits(1)),
            "ect0" => packet.ecn = Some(EcnWanted::Bits(2)),
            "ce" => packet.ecn = Some(EcnWanted::Bits(3)),
            "ect01" => packet.ecn = Some(EcnWanted::Capable),
            "tos" => packet.tos = Some(cursor.fitting("TOS")?),
            "ttl" => packet.ttl = Some(cursor.fitting("TTL")?),
            "flowlabel" => return Err(Stop::unsupported(cursor.line(), "`flowlabel`")),
            _ => return Err(cursor.error("an IP mark expected")),
        }
        if !cursor.eat(",") {
            return cursor.expect(close);
        }
    }
}

/// `sport > dport`, if that is what stands here.
fn ports(cursor: &mut Cursor<'_>) -> Option<(u16, u16)> {
    let mut ahead = cursor.clone();
    let source = ahead.fitting("port").ok()?;
    if !ahead.eat(">") {
        return None;
    }
    let destination = ahead.fitting("port").ok()?;
    *cursor = ahead;
    Some((source, destination))
}

fn flags(cursor: &mut Cursor<'_>, packet: &mut Packet) -> Result<(), Stop> {
    cursor.skip();
    let word = cursor.take_while(|c| !c.is_whitespace());
    if word.is_empty() {
        return Err(cursor.error("flags expected"));
    }
    for c in word.chars() {
        match (c, flag_bit(c)) {
            ('-', _) => {}
            (_, Some(bit)) => packet.flags |= bit,
            ('0'..='7', None) => {
                packet.ace = true;
                let ace = c as u16 - '0' as u16;
                // AE, CWR, ECE from the highest bit of the number down.
                packet.flags |= (ace >> 2 & 1) << 8 | (ace >> 1 & 1) << 7 | (ace & 1) << 6;
            }
            _ => return Err(cursor.error(&format!("`{c}` is no flag"))),
        }
    }
    Ok(())
}

fn options(cursor: &mut Cursor<'_>) -> Result<Option<Vec<Opt>>, Stop> {
    if cursor.eat("...") {
        cursor.expect(">")?;
        return Ok(None);
    }
    let mut out = Vec::new();
    loop {
        out.push(option(cursor)?);
        if cursor.eat(">") {
            return Ok(Some(out));
        }
        cursor.expect(",")?;
    }
}

/// The hexadecimal digits of a cookie, or none.
fn cookie(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Stop> {
    cursor.skip();
    let digits = cursor.take_while(|c| c.is_ascii_hexdigit());
    if !digits.len().is_multiple_of(2) {
        return Err(cursor.error("a cookie needs an even number of digits"));
    }
    let octets = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    octets.collect::<Result<_, _>>().map_err(|_| cursor.error("a cookie in hexadecimal expected"))
}

fn option(cursor: &mut Cursor<'_>) -> Result<Opt, Stop> {
    let before = cursor.clone();
    Ok(match cursor.word() {
        "mss" => Opt::Mss(cursor.fitting("MSS")?),
        "sackOK" => Opt::SackOk,
        "nop" => Opt::Nop,
        "eol" => Opt::Eol,
        "wscale" => Opt::Wscale(cursor.fitting("window scale")?),
        "TS" => {
            cursor.expect("val")?;
            let val = cursor.fitting("TSval")?;
            cursor.expect("ecr")?;
            Opt::Ts { val, ecr: cursor.fitting("TSecr")? }
        }
        "sack" => {
            let mut blocks = Vec::new();
            loop {
                let left = cursor.fitting("SACK edge")?;
                cursor.expect(":")?;
                blocks.push((left, cursor.fitting("SACK edge")?));
                cursor.skip();
                if !cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
                    break Opt::Sack(blocks);
                }
            }
        }
        "raw" => {
            cursor.skip_blanks();
            Opt::Raw(octets(cursor)?)
        }
        "ECN" => accurate_ecn(cursor)?,
        "FO" => Opt::Other(34, cookie(cursor)?),
        "FOEXP" => Opt::Other(254, [&FAST_OPEN_EXPERIMENT[..], &cookie(cursor)?].concat()),
        "md5" => {
            cursor.skip_blanks();
            Opt::Other(19, octets(cursor)?)
        }
        _ => return Err(before.error("a TCP option expected")),
    })
}

/// Hexadecimal digits, two for an octet.
fn octets(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Stop> {
    let digits = cursor.take_while(|c| c.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    let all: Option<Vec<u8>> = pairs.collect();
    all.filter(|all| !all.is_empty()).ok_or_else(|| cursor.error("pairs of hexadecimal digits"))
}

/// `ECN e0b N [ceb N [e1b N]]`, or in the other order; `ECN e0b` and `ECN e1b` without numbers are
/// the empty options of the two kinds.
fn accurate_ecn(cursor: &mut Cursor<'_>) -> Result<Opt, Stop> {
    let mut ahead = cursor.clone();
    let capable1_first = match ahead.word() {
        "e0b" => false,
        "e1b" => true,
        _ => return Err(cursor.error("`e0b` or `e1b` expected")),
    };
    let mut counters = Vec::new();
    for name in if capable1_first { ECN_NAMES_174 } else { ECN_NAMES_172 } {
        let mut ahead = cursor.clone();
        if ahead.word() != name {
            break;
        }
        ahead.skip();
        if !ahead.peek().is_some_and(|c| c.is_ascii_digit()) {
            *cursor = ahead;
            break;
        }
        let counter: u32 = ahead.fitting("counter")?;
        if counter >= 1 << 24 {
            return Err(ahead.error("a counter has 24 bits"));
        }
        counters.push(counter);
        *cursor = ahead;
    }
    Ok(Opt::Ecn { capable1_first, counters })
}
