//! How messages become bytes: as tonic's own codec does it, with buffers that begin small.
//!
//! tonic gives each call a buffer of 8 KiB for what it reads and one for what it writes, and keeps both until the call
//! ends. A session is a call that is open for days and says a hundred bytes now and then: ten thousand of them kept
//! 160 MB for nothing. Here a buffer begins at the length of such a message, and is made as long as each message needs.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::{ProstCodec, ProstDecoder};

/// Bytes that a buffer begins with: a welcome or a heartbeat with a fingerprint for each format, and what frames it.
const BUFFER_BYTES: usize = 256;

/// Bytes of messages that are ready together before they are handed over: tonic's own default, two frames of HTTP/2.
const YIELD_BYTES: usize = 32 * 1024;

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

/// The codec of the generated code, which names it by its path.
#[derive(Debug, Clone)]
pub struct LeanCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LeanCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for LeanCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = LeanEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        LeanEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

/// Encodes into a buffer that is made long enough first, instead of doubled again and again meanwhile.
#[derive(Debug)]
pub struct LeanEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for LeanEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.encoded_len());
        item.encode(buf)
            .map_err(|error| Status::internal(format!("a message does not fit: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
