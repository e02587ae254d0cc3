//! epoll of the kernel. Owns: sets of descriptors, and the event that a script expects first.
//! Must not know: when a call is made.

use super::calls::{Files, Kind, Waiting, arg, error, plain};
use crate::arguments::{Missing, fields, number, text_of};
use crate::call::{Outcome, data_of};
use crate::posix::errno::Errno as Named;
use crate::posix::names as n;
use crate::script::{Arg, Call};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Events taken at a time at most.
const MOST: usize = 16;

/// An `epoll_wait` to be made.
pub struct Wait {
    set: Epoll,
    most: usize,
    timeout: EpollTimeout,
    /// What the first event is to be: events, data. `None`: anything.
    events: Option<i64>,
    data: Option<i64>,
}

/// The set behind a descriptor: another descriptor of the same one.
fn set_of(file: &OwnedFd) -> Result<Epoll, Missing> {
    file.try_clone().map(Epoll).map_err(|error| Missing(format!("a second descriptor: {error}")))
}

/// epoll_create
pub fn create(call: &Call, files: &mut Files) -> Result<Kind, Missing> {
    if number(arg(call, 0))? <= 0 {
        return Err(Missing("`epoll_create` of no size".to_string()));
    }
    let numbered = call.result.unwrap_or(i64::MAX);
    Ok(Kind::Now(match Epoll::new(EpollCreateFlags::empty()) {
        Ok(set) => {
            files.insert(numbered, Arc::new(set.0));
            Outcome::Done(numbered)
        }
        Err(errno) => error(errno),
    }))
}

/// epoll_ctl
pub fn control(call: &Call, file: &OwnedFd, files: &Files) -> Result<Outcome, Missing> {
    let Some(other) = files.get(&number(arg(call, 2))?) else {
        return Ok(Outcome::Error(Named::EBADF));
    };
    let (events, data) = match arg(call, 3) {
        record @ Arg::Record(_) => {
            let field = fields(record)?;
            (number(field("events"))?, number(data_of(&field))?)
        }
        _ => (0, 0),
    };
    let mut event = EpollEvent::new(EpollFlags::from_bits_retain(events as i32), data as u64);
    let set = set_of(file)?;
    Ok(plain(match number(arg(call, 1))? {
        n::EPOLL_CTL_ADD => set.add(other.as_fd(), event),
        n::EPOLL_CTL_MOD => set.modify(other.as_fd(), &mut event),
        n::EPOLL_CTL_DEL => set.delete(other.as_fd()),
        _ => Err(Errno::EINVAL),
    }))
}

/// epoll_wait
pub fn prepare(call: &Call, file: &OwnedFd) -> Result<Waiting, Missing> {
    let record = match arg(call, 1) {
        Arg::List(list) => list.first().unwrap_or(&Arg::Ellipsis),
        other => other,
    };
    let wanted = |arg: &Arg| match arg {
        Arg::Ellipsis => Ok(None),
        other => number(other).map(Some),
    };
    let (events, data) = match record {
        Arg::Record(_) => {
            let field = fields(record)?;
            (wanted(field("events"))?, wanted(data_of(&field))?)
        }
        Arg::Ellipsis => (None, None),
        other => return Err(Missing(format!("`{}` as an event", text_of(other)))),
    };
    let most = usize::try_from(number(arg(call, 2))?).unwrap_or(0).clamp(1, MOST);
    let wait = i32::try_from(number(arg(call, 3))?).ok();
    let timeout = wait.and_then(|wait| EpollTimeout::try_from(wait).ok());
    let timeout = timeout.unwrap_or(EpollTimeout::NONE);
    Ok(Waiting::Epoll(Wait { set: set_of(file)?, most, timeout, events, data }))
}

impl Wait {
    /// Makes the call. Only the first event is compared, as by the field's runner.
    pub fn perform(self) -> Outcome {
        let mut told = [EpollEvent::empty(); MOST];
        let count = match self.set.wait(&mut told[..self.most], self.timeout) {
            Ok(count) => count,
            Err(errno) => return error(errno),
        };
        if count > 0 {
            let (events, data) = (i64::from(told[0].events().bits() as u32), told[0].data() as i64);
            let same = self.events.is_none_or(|wanted| wanted == events)
                && self.data.is_none_or(|wanted| wanted == data);
            if !same {
                let shown = n::bits_text("EPOLL", events);
                return Outcome::Differs(format!("event: got {shown} of {data}"));
            }
        }
        Outcome::Done(count as i64)
    }
}
