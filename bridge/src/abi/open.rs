//! Opening and closing modules of a guest.

use std::mem::{MaybeUninit, align_of, size_of};

use super::sys::{PolyhostExport, PolyhostGuest, PolyhostModule, PolyhostSource};
use super::{GuestModule, bytes, missing, output_pointer, slice, with_call};
use crate::call::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::function::Export;
use crate::output::Output;

/// What a guest is to open: a `PolyhostSource`.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// One of the `POLYHOST_SOURCE_*` numbers.
    pub kind: u32,
    /// An absolute path, or what to call it.
    pub name: &'a [u8],
    /// The content, where the kind has any.
    pub data: &'a [u8],
    /// Options of the host.
    pub options: &'a [(String, String)],
}

/// A module that a guest has opened: copies, so that it does not matter when the guest closes it.
#[derive(Debug)]
pub struct Opened {
    /// The guest's id of it, for [`close`].
    pub module: u64,
    /// The exports, sorted by name, each with the id to call it by.
    pub functions: Vec<(u64, Export)>,
    /// A serialized `google.protobuf.FileDescriptorSet`, if it has one.
    pub descriptors: Option<Vec<u8>>,
}

/// Opens a module, whose code runs in `cx` meanwhile.
///
/// # Errors
/// [`ErrorKind::DeadlineExceeded`] or [`ErrorKind::Cancelled`] by `cx`, before the guest is entered or by its own word;
/// What the guest reported; [`ErrorKind::Load`] where it breaks the ABI or exports a name twice;
/// [`ErrorKind::Config`] for an option that does not fit on a line.
///
/// # Safety
/// As [`super::call`].
pub unsafe fn open(
    guest: &PolyhostGuest,
    module: &GuestModule,
    source: &Source<'_>,
    cx: &CallContext,
) -> Result<Opened> {
    let Some(enter) = guest.open else { return Err(missing("open")) };
    cx.check()?;
    let options = lines(source.options)?;
    let source = PolyhostSource {
        size: size_of::<PolyhostSource>() as u32,
        kind: source.kind,
        name: slice(source.name),
        data: slice(source.data),
        module: module.id(),
        options: slice(options.as_bytes()),
    };
    // SAFETY: zeroes are valid for integers, null pointers and empty slices.
    let mut opened: PolyhostModule = unsafe { MaybeUninit::zeroed().assume_init() };
    opened.size = size_of::<PolyhostModule>() as u32;
    // SAFETY: all three outlive the call, which returns before we do; the caller vouches for the guest.
    with_call(guest, module, cx, |call| unsafe { enter(call, &source, &mut opened) })?;
    // SAFETY: what a guest's `open` filled in is valid until `close`.
    let read = unsafe { read(&opened) };
    if read.is_err() {
        // It is refused, so nobody else will close it. The error is the one from before.
        // SAFETY: as the caller vouches.
        let _ = unsafe { close(guest, module, opened.module) };
    }
    read.map_err(|error| error.with("module", module.name()))
}

/// Closes a module and tells what still holds it, a line each.
///
/// # Errors
/// What the guest reported.
///
/// # Safety
/// As [`super::call`].
pub unsafe fn close(guest: &PolyhostGuest, module: &GuestModule, id: u64) -> Result<Vec<String>> {
    let Some(enter) = guest.close else { return Ok(vec!["its guest cannot unload".to_owned()]) };
    let mut held = Output::new();
    let out = output_pointer(&mut held);
    // SAFETY: `held` outlives the call, which returns before we do; the caller vouches for the guest.
    let outcome = with_call(guest, module, &CallContext::none(), |call| unsafe { enter(call, id, out) });
    held.check()?;
    outcome?;
    Ok(String::from_utf8_lossy(&held).lines().map(str::to_owned).collect())
}

/// Closes a module without asking what still holds it: `held` has no room for an answer, so a guest that has to look
/// for one does not.
///
/// # Errors
/// What the guest reported.
///
/// # Safety
/// As [`super::call`].
pub unsafe fn release(guest: &PolyhostGuest, module: &GuestModule, id: u64) -> Result<()> {
    let Some(enter) = guest.close else { return Ok(()) };
    let mut held = Output::with_limit(0);
    let out = output_pointer(&mut held);
    // SAFETY: as in `close`.
    with_call(guest, module, &CallContext::none(), |call| unsafe { enter(call, id, out) })
}

fn lines(options: &[(String, String)]) -> Result<String> {
    let mut text = String::new();
    for (key, value) in options {
        if key.contains(['=', '\n']) || value.contains('\n') {
            let message = format!("option {key:?}: neither name nor value may have a line break, nor the name a =");
            return Err(Error::new(ErrorKind::Config, message));
        }
        text += &format!("{key}={value}\n");
    }
    Ok(text)
}

/// The bytes of a `PolyhostExport` in version 1.0. A later guest's are longer, an older one's than ours shorter.
const FIRST_EXPORT: usize = 80;

/// More than any module has. A number beyond is no number of exports, and no room is made for them.
const MAX_EXPORTS: usize = 1 << 16;

/// # Safety
/// `opened` was filled by a guest, and its module has not been closed.
unsafe fn read(opened: &PolyhostModule) -> Result<Opened> {
    if opened.exports_len > MAX_EXPORTS {
        let message = format!(
            "the guest breaks the ABI: it says it has {} exports; a module has {MAX_EXPORTS} at most",
            opened.exports_len
        );
        return Err(Error::new(ErrorKind::Load, message));
    }
    let mut functions = Vec::with_capacity(opened.exports_len);
    for at in 0..opened.exports_len {
        // SAFETY: as the caller vouches.
        functions.push(
            unsafe { read_export(opened, at) }
                .map_err(|what| Error::new(ErrorKind::Load, format!("the guest breaks the ABI: {what}")))?,
        );
    }
    functions.sort_by(|(_, a), (_, b)| a.name().cmp(b.name()));
    if let Some(pair) = functions.windows(2).find(|pair| pair[0].1.name() == pair[1].1.name()) {
        let message = format!("the module exports {} twice; give one of them another name", pair[0].1.name());
        return Err(Error::new(ErrorKind::Load, message));
    }
    // SAFETY: a guest's slices are valid until `close`.
    let descriptors = unsafe { bytes(opened.descriptors) };
    let descriptors = (!descriptors.is_empty()).then(|| descriptors.to_vec());
    Ok(Opened { module: opened.module, functions, descriptors })
}

/// # Safety
/// As [`read`]; `at` is below the number of exports.
unsafe fn read_export(opened: &PolyhostModule, at: usize) -> Result<(u64, Export), String> {
    if opened.exports.is_null() {
        return Err("its list of exports is a null pointer".to_owned());
    }
    // SAFETY: there is a first entry, and each begins with its size.
    let stride = unsafe { opened.exports.cast::<u32>().read() } as usize;
    if stride < FIRST_EXPORT || !stride.is_multiple_of(align_of::<PolyhostExport>()) {
        return Err(format!("it says its exports have {stride} bytes each; they have {FIRST_EXPORT} at least"));
    }
    // SAFETY: zeroes are valid for integers, null pointers and empty slices.
    let mut entry: PolyhostExport = unsafe { MaybeUninit::zeroed().assume_init() };
    let known = stride.min(size_of::<PolyhostExport>());
    // SAFETY: `exports` points to `exports_len` entries of `stride` bytes; no more is copied than `entry` has.
    unsafe {
        let from = opened.exports.cast::<u8>().add(at * stride);
        std::ptr::from_mut(&mut entry).cast::<u8>().copy_from_nonoverlapping(from, known);
    }
    // SAFETY: a guest's slices are valid until `close`.
    let texts = [entry.name, entry.input_type, entry.output_type, entry.doc].map(|text| unsafe { bytes(text) });
    let [Ok(name), Ok(input), Ok(output), Ok(doc)] = texts.map(str::from_utf8) else {
        return Err(format!("a text of its export {at} is no UTF-8"));
    };
    if name.is_empty() {
        return Err(format!("its export {at} has no name"));
    }
    let type_name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    Ok((entry.function, Export::bytes(name).with_types(type_name(input), type_name(output)).with_doc(doc)))
}
