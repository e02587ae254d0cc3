//! A freestanding program that links every core crate: proof that none of them needs std.
//! Owns: the handful of symbols a compiler expects. It is built, not run.
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::arch::asm;
use usertcp_base::Instant;
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Medium};
use usertcp_stack::{Shard, ShardConfig};

/// Hands out addresses it never takes back; nothing runs here.
struct Bump;

// SAFETY: memory is never handed out, so every promise about it holds.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Pulls the whole of the shard in: construction, a turn's parts, the deadline.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let device = DeviceFacts {
        medium: Medium::Ip,
        mtu: 1500,
        checksum_offload: false,
        segmentation_offload: false,
        largest_packet_octets: 1500,
    };
    let config = ShardConfig::new(alloc::vec::Vec::new(), [1; 32], device);
    if let Ok(mut shard) = Shard::<AnyController, ()>::new(config, (), Instant::ZERO) {
        let _ = shard.poll_event();
        let _ = shard.next_deadline();
    }
    loop {}
}

/// What compilers call without being asked. Plain loops through `rep` instructions, so that the
/// compiler does not turn them into calls of themselves.
mod symbols {
    use super::asm;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        // SAFETY: the caller promises two valid ranges of `count` octets that do not overlap.
        unsafe { asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _) };
        to
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        if (to as usize) <= from as usize {
            // SAFETY: copying upwards is right when the target lies below.
            return unsafe { memcpy(to, from, count) };
        }
        // SAFETY: copying downwards, from the last octet on; the direction flag is put back.
        unsafe {
            asm!("std", "rep movsb", "cld", inout("rcx") count => _,
                inout("rdi") to.wrapping_add(count).wrapping_sub(1) => _,
                inout("rsi") from.wrapping_add(count).wrapping_sub(1) => _);
        }
        to
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, octet: i32, count: usize) -> *mut u8 {
        // SAFETY: the caller promises a valid range of `count` octets.
        unsafe { asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") octet as u8) };
        to
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
        for at in 0..count {
            // SAFETY: the caller promises two valid ranges of `count` octets.
            let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
            if x != y {
                return i32::from(x) - i32::from(y);
            }
        }
        0
    }
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
        // SAFETY: as for `memcmp`.
        unsafe { memcmp(a, b, count) }
    }
    #[unsafe(no_mangle)]
    extern "C" fn strlen(_: *const u8) -> usize {
        0
    }
    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Resume() -> ! {
        loop {}
    }
}
