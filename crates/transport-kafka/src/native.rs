//! What the client library knows of a message and its binding for Rust does not tell.

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings::{
    rd_kafka_header_get_all, rd_kafka_message_headers, rd_kafka_message_status,
    rd_kafka_msg_status_t, rd_kafka_resp_err_t,
};
use rdkafka::message::BorrowedMessage;

/// May the broker have a message that was not confirmed? Where it never left us it has it not, and
/// that is no attempt.
pub(crate) fn may_be_kept(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the message is borrowed, so the library still has it, and only reads it.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status != rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// The headers of a message. The binding's own way ends the task at a name that is no UTF-8, which
/// anyone who may write to the topic can send.
pub(crate) fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Vec<u8>)> {
    const NO_ERROR: rd_kafka_resp_err_t = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    let mut found = Vec::new();
    let mut all = ptr::null_mut();
    // SAFETY: the message is borrowed; the library writes a pointer to what belongs to it.
    if unsafe { rd_kafka_message_headers(message.ptr(), &mut all) } != NO_ERROR {
        return found; // it has none
    }
    loop {
        let (mut name, mut value, mut bytes) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `all` is the message's. Behind the last one the library writes nothing and says so.
        let got =
            unsafe { rd_kafka_header_get_all(all, found.len(), &mut name, &mut value, &mut bytes) };
        if got != NO_ERROR || name.is_null() {
            return found;
        }
        // SAFETY: a name ends with a zero byte, and lives as long as the message.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let value = if value.is_null() {
            Vec::new()
        } else {
            // SAFETY: the value is `bytes` long, and lives as long as the message.
            unsafe { std::slice::from_raw_parts(value.cast::<u8>(), bytes) }.to_vec()
        };
        found.push((name, value));
    }
}
