//! SQLite's files on a disk in memory: the table of functions that SQLite calls for them.
//!
//! This is the only place with `unsafe` in it. What it relies on is what SQLite promises of its
//! VFS interface: a file's memory is `szOsFile` bytes that stay where they are from `xOpen` to
//! `xClose`, its methods are called with that memory and with buffers of the length said, and text
//! ends with a zero byte. A file's methods may be called from one thread at a time.
//!
//! The device it shows is the one that SQLite takes a Unix file system for: sectors of 4096 bytes,
//! and a write that fails leaves the bytes beside it alone. As there, the first sync of a journal or
//! write-ahead file that was just made syncs its folder, and it is not told when that fails.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::ffi;

use crate::fault::{Kind, Operation};
use crate::mount::{Inner, Way, find};
use crate::state::{Act, Node, parent};

/// What SQLite calls it.
pub(crate) const NAME: &str = "amends-disk";
const NAME_C: &CStr = c"amends-disk";

const PATH_BYTES_MAX: c_int = 512;
const SECTOR_BYTES: c_int = 4096;

/// A file as SQLite keeps it: its own part first, then ours.
#[repr(C)]
struct Raw {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

/// An open file.
struct Open {
    mount: Arc<Inner>,
    name: String,
    node: Node,
    holder: u64,
    /// Its folder is to be synced with it.
    is_new: bool,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // 2 has the shared memory of write-ahead files and does not map files.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes it known to SQLite, once a process.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: size_of::<Raw>() as c_int,
            mxPathname: PATH_BYTES_MAX,
            pNext: ptr::null_mut(),
            zName: NAME_C.as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the table is never freed, and its functions keep to the interface.
        let done = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(done, ffi::SQLITE_OK, "SQLite takes the disk in memory");
    });
}

/// The code of an operation that goes this way; `error` is what SQLite calls its failing.
fn code(way: Way, error: c_int) -> c_int {
    match way {
        Way::Well => ffi::SQLITE_OK,
        Way::Wrong(Kind::Full) => ffi::SQLITE_FULL,
        Way::Wrong(_) | Way::Dead => error,
    }
}

/// Text that SQLite gives.
///
/// # Safety
/// It is null, or ends with a zero byte and outlives what is returned.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// The open file behind what SQLite holds.
///
/// # Safety
/// `file` is what SQLite was given by [`open`], not closed yet, and nobody else uses it now.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Open {
    // SAFETY: `open` has put a box there, which `close` alone takes back.
    unsafe { &mut *(*file.cast::<Raw>()).open }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room for a `Raw`; without methods it does not close what was not opened.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: SQLite's own text. Files without a name are temporary, and those are in memory.
    let Some((mount, name)) = unsafe { text(name) }.and_then(find) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let held = mount.disk().kept().state.node(&name);
    let way = match held {
        Some(_) => mount.way(Operation::Open, &name),
        None if flags & ffi::SQLITE_OPEN_CREATE == 0 => return ffi::SQLITE_CANTOPEN,
        None => mount.act(Operation::Create, &name, Act::Create(name.clone())),
    };
    let node = mount.disk().kept().state.node(&name);
    let (Way::Well, Some(node)) = (way, node) else { return code(way, ffi::SQLITE_CANTOPEN) };
    static HOLDERS: AtomicU64 = AtomicU64::new(1);
    let holder = HOLDERS.fetch_add(1, Ordering::Relaxed);
    let journals = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL;
    let is_new = held.is_none() && flags & journals != 0;
    let open = Box::new(Open { mount, name, node, holder, is_new });
    // SAFETY: as above; `flags_out` is null or a number of SQLite's.
    unsafe {
        (*file.cast::<Raw>()).open = Box::into_raw(open);
        (*file).pMethods = &raw const METHODS;
        if !flags_out.is_null() {
            *flags_out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: it was opened, and SQLite does not use it any more.
    let open = unsafe { Box::from_raw((*file.cast::<Raw>()).open) };
    open.mount.locks().unlock(open.node, open.holder, 0);
    open.mount.locks().leave(open.node, open.holder);
    // SAFETY: so that a second close is none.
    unsafe { (*file).pMethods = ptr::null() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    length: c_int,
    at: i64,
) -> c_int {
    // SAFETY: an open file, and a buffer of `length` bytes.
    let (open, into) = unsafe {
        (opened(file), std::slice::from_raw_parts_mut(into.cast::<u8>(), length as usize))
    };
    match open.mount.way(Operation::Read, &open.name) {
        Way::Well => {}
        way => return code(way, ffi::SQLITE_IOERR_READ),
    }
    let kept = open.mount.disk().kept();
    let rest = kept.state.files[open.node].seen.get(at as usize..).unwrap_or_default();
    let there = rest.len().min(into.len());
    into[..there].copy_from_slice(&rest[..there]);
    into[there..].fill(0);
    if there < into.len() { ffi::SQLITE_IOERR_SHORT_READ } else { ffi::SQLITE_OK }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    // SAFETY: an open file, and a buffer of `length` bytes.
    let (open, bytes) =
        unsafe { (opened(file), std::slice::from_raw_parts(from.cast::<u8>(), length as usize)) };
    let way = open.mount.write(&open.name, open.node, at as usize, bytes);
    code(way, ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    let act = Act::Truncate { node: open.node, length: length as usize };
    code(open.mount.act(Operation::Truncate, &open.name, act), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    let way = open.mount.sync(&open.name, open.node);
    if way == Way::Well && std::mem::take(&mut open.is_new) {
        let folder = parent(&open.name).to_owned();
        // On Unix, SQLite takes no notice of an error of this.
        let _ = open.mount.act(Operation::SyncFolder, &folder, Act::SyncFolder(folder.clone()));
    }
    code(way, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: an open file, and a number of SQLite's.
    let (open, size) = unsafe { (opened(file), &mut *size) };
    let way = open.mount.way(Operation::Size, &open.name);
    if way == Way::Well {
        *size = open.mount.disk().kept().state.files[open.node].seen.len() as i64;
    }
    code(way, ffi::SQLITE_IOERR_FSTAT)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    match open.mount.way(Operation::Lock, &open.name) {
        Way::Well => match open.mount.locks().lock(open.node, open.holder, level) {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_BUSY,
        },
        way => code(way, ffi::SQLITE_IOERR_LOCK),
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    open.mount.locks().unlock(open.node, open.holder, level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    is_reserved: *mut c_int,
) -> c_int {
    // SAFETY: an open file, and a number of SQLite's.
    let (open, is_reserved) = unsafe { (opened(file), &mut *is_reserved) };
    *is_reserved = c_int::from(open.mount.locks().reserved(open.node));
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(
    _: *mut ffi::sqlite3_file,
    what: c_int,
    argument: *mut c_void,
) -> c_int {
    if what != ffi::SQLITE_FCNTL_MMAP_SIZE {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: this question comes with a 64-bit number, in which the answer goes back.
    unsafe { *argument.cast::<i64>() = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    bytes: c_int,
    make: c_int,
    region: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file, and a pointer of SQLite's.
    let (open, region) = unsafe { (opened(file), &mut *region) };
    *region = ptr::null_mut();
    match open.mount.way(Operation::Share, &open.name) {
        Way::Well => {}
        way => return code(way, ffi::SQLITE_IOERR_SHMMAP),
    }
    let (page, bytes) = (page as usize, bytes as usize);
    let held = open.mount.locks().region(open.node, open.holder, page, bytes, make != 0);
    *region = held.map_or(ptr::null_mut(), <*mut u64>::cast);
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    let which = first as usize..(first + count) as usize;
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        open.mount.locks().unlock_shared(open.node, open.holder, which);
        return ffi::SQLITE_OK;
    }
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    match open.mount.way(Operation::Lock, &open.name) {
        Way::Well => match open.mount.locks().lock_shared(open.node, open.holder, which, exclusive)
        {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_BUSY,
        },
        way => code(way, ffi::SQLITE_IOERR_SHMLOCK),
    }
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    open.mount.locks().leave(open.node, open.holder);
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: SQLite's own text.
    let Some((mount, name)) = unsafe { text(name) }.and_then(find) else {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    };
    if mount.disk().kept().state.node(&name).is_none() {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    let way = mount.act(Operation::Delete, &name, Act::Delete(name.clone()));
    if way != Way::Well || sync_folder == 0 {
        return code(way, ffi::SQLITE_IOERR_DELETE);
    }
    let folder = parent(&name).to_owned();
    let act = Act::SyncFolder(folder.clone());
    code(mount.act(Operation::SyncFolder, &folder, act), ffi::SQLITE_IOERR_DIR_FSYNC)
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    is_there: *mut c_int,
) -> c_int {
    // SAFETY: a number of SQLite's.
    let is_there = unsafe { &mut *is_there };
    *is_there = 0;
    // SAFETY: SQLite's own text.
    let Some((mount, name)) = unsafe { text(name) }.and_then(find) else { return ffi::SQLITE_OK };
    match mount.way(Operation::Look, &name) {
        Way::Well => {}
        way => return code(way, ffi::SQLITE_IOERR_ACCESS),
    }
    // SQLite takes an empty journal for none, as on Unix.
    let kept = mount.disk().kept();
    let node = kept.state.node(&name);
    *is_there = c_int::from(node.is_some_and(|node| !kept.state.files[node].seen.is_empty()));
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    into: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's own text.
    let Some(name) = (unsafe { text(name) }) else { return ffi::SQLITE_CANTOPEN };
    if name.len() >= length as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there is room for `length` bytes, which is more than the text and its zero.
    unsafe {
        ptr::copy_nonoverlapping(name.as_ptr(), into.cast::<u8>(), name.len());
        *into.add(name.len()) = 0;
    }
    ffi::SQLITE_OK
}

/// Not asked for: SQLite salts its write-ahead files with what its own file system gives it.
unsafe extern "C" fn randomness(
    _: *mut ffi::sqlite3_vfs,
    length: c_int,
    into: *mut c_char,
) -> c_int {
    // SAFETY: there is room for `length` bytes.
    let into = unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), length as usize) };
    for (byte, n) in into.iter_mut().zip(0_u8..) {
        *byte = n.wrapping_mul(0x9d).wrapping_add(0x35);
    }
    length
}

/// Whoever waits for a lock waits for another thread and for no device, so a part of the time will
/// do. SQLite adds up what it asked for.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    const PART: u64 = 50;
    std::thread::sleep(Duration::from_micros(u64::from(micros.unsigned_abs()) / PART));
    micros
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    /// The Julian day of the Unix epoch.
    const EPOCH_DAYS: f64 = 2_440_587.5;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // SAFETY: a number of SQLite's.
    unsafe { *days = EPOCH_DAYS + now.as_secs_f64() / 86_400.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
