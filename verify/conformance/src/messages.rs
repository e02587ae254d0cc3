//! Messages of scripts: vectors, headers, control messages. Owns: what their records mean, and how
//! what was received is compared. Must not know: sockets.

use crate::arguments::{Missing, fields, number, text_of};
use crate::posix::errno::Errno;
use crate::posix::message::{Control, ExtendedError, Received};
use crate::posix::names as n;
use crate::script::Arg;

/// Memory that a script names: `...` is there, NULL is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Its octets.
    pub octets: usize,
    /// Whether it is the program's.
    pub good: bool,
}

/// Octets of one buffer, and of all of a vector, at most.
const LARGEST: i64 = 1 << 24;

/// The buffers of a vector.
pub fn vector(arg: &Arg) -> Result<Vec<Buffer>, Missing> {
    let Arg::List(list) = arg else {
        return Err(Missing(format!("`{}` instead of a vector", text_of(arg))));
    };
    let mut left = LARGEST;
    let mut one = |arg: &Arg| match arg {
        Arg::Record(parts) if parts.len() == 2 => {
            let octets = number(&parts[1].1)?.clamp(0, left);
            left -= octets;
            let good = !crate::arguments::flag(&parts[0].1, "NULL");
            Ok(Buffer { octets: octets as usize, good })
        }
        other => Err(Missing(format!("`{}` instead of a buffer", text_of(other)))),
    };
    list.iter().map(&mut one).collect()
}

/// The buffers of a message.
pub fn buffers(message: &Arg) -> Result<Vec<Buffer>, Missing> {
    vector(fields(message)?("msg_iov"))
}

/// What is not as the message of a script says.
pub fn differences(
    message: &Arg,
    got: &Received,
    tolerance: u64,
) -> Result<Option<String>, Missing> {
    let field = fields(message)?;
    let wanted = field("msg_flags");
    if *wanted != Arg::Ellipsis && number(wanted)? != got.flags {
        let flags = n::bits_text("MSG_", got.flags);
        return Ok(Some(format!("msg_flags: expected {}, got {flags}", text_of(wanted))));
    }
    let Arg::List(list) = field("msg_control") else {
        // A script that does not speak of them does not ask for them.
        return Ok(None);
    };
    if list.len() != got.control.len() {
        return Ok(Some(format!(
            "control messages: expected {}, got {}: {:?}",
            list.len(),
            got.control.len(),
            got.control
        )));
    }
    for (wanted, got) in list.iter().zip(&got.control) {
        if let Some(text) = control_differs(wanted, got, tolerance)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn control_differs(wanted: &Arg, got: &Control, tolerance: u64) -> Result<Option<String>, Missing> {
    let field = fields(wanted)?;
    let kind = text_of(field("cmsg_type"));
    let data = field("cmsg_data");
    let expected = || format!("control message: expected {}, got {got:?}", text_of(wanted));
    let same = match (kind.as_str(), got) {
        ("TCP_CM_INQ" | "TCP_INQ", Control::Inq(octets)) => number(data)? == i64::from(*octets),
        ("SCM_TIMESTAMPING" | "SO_TIMESTAMPING", Control::Stamp(micros)) => {
            let field = fields(data)?;
            let nanos = number(field("scm_sec"))?
                .saturating_mul(1_000_000_000)
                .saturating_add(number(field("scm_nsec"))?);
            let wanted = u64::try_from(nanos / 1000).unwrap_or(0);
            wanted.abs_diff(*micros) <= tolerance
        }
        ("SCM_TIMESTAMPING_OPT_STATS", Control::Statistics(all)) => {
            statistics_differ(data, all)?.is_none()
        }
        ("CMSG_TYPE_RECVERR" | "IP_RECVERR" | "IPV6_RECVERR", Control::Error(error)) => {
            error_is(data, error)?
        }
        (
            "TCP_CM_INQ"
            | "TCP_INQ"
            | "SCM_TIMESTAMPING"
            | "SO_TIMESTAMPING"
            | "SCM_TIMESTAMPING_OPT_STATS"
            | "CMSG_TYPE_RECVERR"
            | "IP_RECVERR"
            | "IPV6_RECVERR",
            _,
        ) => false,
        _ => return Err(Missing(format!("control message `{kind}`"))),
    };
    Ok((!same).then(expected))
}

fn error_is(data: &Arg, got: &ExtendedError) -> Result<bool, Missing> {
    let field = fields(data)?;
    let value = |name: &str| -> Result<i64, Missing> {
        let arg = field(name);
        match Errno::from_name(&text_of(arg)) {
            Some(errno) => Ok(errno.0.into()),
            None => number(arg),
        }
    };
    let pairs = [
        ("ee_errno", i64::from(got.errno)),
        ("ee_origin", got.origin.into()),
        ("ee_type", got.kind.into()),
        ("ee_code", got.code.into()),
        ("ee_info", got.info.into()),
        ("ee_data", got.data.into()),
    ];
    for (name, got) in pairs {
        if *field(name) != Arg::Ellipsis && value(name)? != got {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `{nla_type=…, nla_data=…}` or `{NAME, value}` each; `...` for a value stands for any.
fn statistics_differ(data: &Arg, got: &[(u16, u64)]) -> Result<Option<String>, Missing> {
    let list = match data {
        Arg::Ellipsis => return Ok(None),
        Arg::List(list) => list.clone(),
        Arg::Record(parts) => parts.iter().map(|(_, arg)| arg.clone()).collect(),
        other => return Err(Missing(format!("`{}` as statistics", text_of(other)))),
    };
    for wanted in &list {
        let Arg::Record(parts) = wanted else {
            return Err(Missing(format!("`{}` as a figure", text_of(wanted))));
        };
        let [(_, attribute), (_, value)] = parts.as_slice() else {
            return Err(Missing(format!("`{}` as a figure", text_of(wanted))));
        };
        let name = text_of(attribute);
        let attribute = number(attribute)?;
        if *value == Arg::Ellipsis {
            continue;
        }
        let Some((_, got)) = got.iter().find(|(known, _)| i64::from(*known) == attribute) else {
            return Err(Missing(format!("`{name}`")));
        };
        if number(value)? != *got as i64 {
            return Ok(Some(format!("{name}: expected {}, got {got}", text_of(value))));
        }
    }
    Ok(None)
}
