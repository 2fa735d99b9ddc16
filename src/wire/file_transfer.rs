//! The messages of FileTransfer, from and to the wire.

use super::{
    ProtocolError, decode_digest, decode_format, decode_number, decode_optional_format, decode_size, decode_time,
    encode_format, encode_time,
};
use crate::{
    document::{DocumentId, DocumentKey, Format},
    failure::Failure,
    message::{Compression, DocumentHeader, DownloadPart, DownloadQuery, ManyBody, ManyPart, ManyQuery},
    pb,
};

/// Plain text is what people mean by "the RFC" unless they say otherwise.
const DEFAULT_FORMAT: Format = Format::Txt;

fn decode_query(number: u32, format: i32, sha256: &str, offset: u64) -> Result<DownloadQuery, ProtocolError> {
    Ok(DownloadQuery {
        key: DocumentKey {
            number: decode_number("number", number)?,
            format: decode_optional_format("format", format)?.unwrap_or(DEFAULT_FORMAT),
        },
        sha256: if sha256.is_empty() {
            None
        } else {
            Some(decode_digest("sha256", sha256)?)
        },
        offset,
    })
}

impl TryFrom<pb::DownloadRequest> for DownloadQuery {
    type Error = ProtocolError;

    fn try_from(request: pb::DownloadRequest) -> Result<Self, ProtocolError> {
        decode_query(request.number, request.format, &request.sha256, request.offset)
    }
}

impl From<&DownloadQuery> for pb::DownloadRequest {
    fn from(query: &DownloadQuery) -> Self {
        Self {
            number: query.key.number.get(),
            format: encode_format(query.key.format),
            sha256: query.sha256.map(|digest| digest.to_string()).unwrap_or_default(),
            offset: query.offset,
        }
    }
}

/// What a holder does not know it does not do: plain chunks are an answer to everything.
fn decode_compression(compression: i32) -> Compression {
    match pb::Compression::try_from(compression) {
        Ok(pb::Compression::Zstd) => Compression::Zstd,
        Ok(pb::Compression::Unspecified) | Err(_) => Compression::None,
    }
}

fn encode_compression(compression: Compression) -> i32 {
    match compression {
        Compression::None => pb::Compression::Unspecified.into(),
        Compression::Zstd => pb::Compression::Zstd.into(),
    }
}

/// Splits a request of a stream into its id and what it asks for, so that even a bad one can be answered by its id.
pub fn decode_many_request(request: &pb::DownloadManyRequest) -> (u64, Result<ManyQuery, ProtocolError>) {
    let document = decode_query(request.number, request.format, &request.sha256, 0);
    let query = document.map(|document| ManyQuery {
        document,
        compression: decode_compression(request.compression),
    });
    (request.request_id, query)
}

/// Asks for `query` as request `request_id` of a stream. The offset is not sent: streams carry whole documents.
#[must_use]
pub fn encode_many_request(request_id: u64, query: &ManyQuery) -> pb::DownloadManyRequest {
    let pb::DownloadRequest {
        number,
        format,
        sha256,
        offset: _,
    } = (&query.document).into();
    pb::DownloadManyRequest {
        request_id,
        number,
        format,
        sha256,
        compression: encode_compression(query.compression),
    }
}

impl TryFrom<pb::DocumentHeader> for DocumentHeader {
    type Error = ProtocolError;

    fn try_from(header: pb::DocumentHeader) -> Result<Self, ProtocolError> {
        let key = DocumentKey {
            number: decode_number("number", header.number)?,
            format: decode_format("format", header.format)?,
        };
        Ok(Self {
            id: DocumentId {
                key,
                sha256: decode_digest("sha256", &header.sha256)?,
            },
            size_bytes: decode_size("size_bytes", header.size_bytes)?,
            modified: decode_time("modified_time", header.modified_time)?,
        })
    }
}

impl From<&DocumentHeader> for pb::DocumentHeader {
    fn from(header: &DocumentHeader) -> Self {
        Self {
            number: header.id.key.number.get(),
            format: encode_format(header.id.key.format),
            size_bytes: header.size_bytes,
            sha256: header.id.sha256.to_string(),
            modified_time: header.modified.map(encode_time),
        }
    }
}

fn decode_chunk(field: &str, chunk: bytes::Bytes) -> Result<bytes::Bytes, ProtocolError> {
    if chunk.is_empty() {
        return Err(ProtocolError::invalid(field, "a chunk is never empty"));
    }
    Ok(chunk)
}

impl TryFrom<pb::DownloadResponse> for DownloadPart {
    type Error = ProtocolError;

    fn try_from(response: pb::DownloadResponse) -> Result<Self, ProtocolError> {
        match response.body.ok_or_else(|| ProtocolError::missing("body"))? {
            pb::download_response::Body::Header(header) => Ok(Self::Header(header.try_into()?)),
            pb::download_response::Body::Chunk(chunk) => Ok(Self::Chunk(decode_chunk("chunk", chunk)?)),
        }
    }
}

impl From<DownloadPart> for pb::DownloadResponse {
    fn from(part: DownloadPart) -> Self {
        let body = match part {
            DownloadPart::Header(header) => pb::download_response::Body::Header((&header).into()),
            DownloadPart::Chunk(chunk) => pb::download_response::Body::Chunk(chunk),
        };
        Self { body: Some(body) }
    }
}

impl TryFrom<pb::DownloadManyResponse> for ManyPart {
    type Error = ProtocolError;

    fn try_from(response: pb::DownloadManyResponse) -> Result<Self, ProtocolError> {
        use pb::download_many_response::Body;
        let part = match response.body.ok_or_else(|| ProtocolError::missing("body"))? {
            Body::Header(header) => Ok(ManyBody::Header(header.try_into()?)),
            Body::Error(error) => Err(Failure::from(error)),
            Body::Chunk(chunk) => Ok(ManyBody::Chunk(decode_chunk("chunk", chunk)?)),
            Body::ZstdChunk(chunk) => Ok(ManyBody::ZstdChunk(decode_chunk("zstd_chunk", chunk)?)),
        };
        Ok(Self {
            request_id: response.request_id,
            part,
        })
    }
}

impl From<ManyPart> for pb::DownloadManyResponse {
    fn from(answer: ManyPart) -> Self {
        use pb::download_many_response::Body;
        let body = match answer.part {
            Ok(ManyBody::Header(header)) => Body::Header((&header).into()),
            Ok(ManyBody::Chunk(chunk)) => Body::Chunk(chunk),
            Ok(ManyBody::ZstdChunk(chunk)) => Body::ZstdChunk(chunk),
            Err(failure) => Body::Error(failure.into()),
        };
        Self {
            request_id: answer.request_id,
            body: Some(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(compression: i32) -> Compression {
        let request = pb::DownloadManyRequest {
            request_id: 7,
            number: 1,
            compression,
            ..pb::DownloadManyRequest::default()
        };
        let (request_id, query) = decode_many_request(&request);
        let query = query.unwrap();
        let again = encode_many_request(request_id, &query);
        assert_eq!(
            decode_many_request(&again),
            (7, Ok(query.clone())),
            "the same, there and back"
        );
        query.compression
    }

    #[test]
    fn only_a_known_compression_is_used() {
        assert_eq!(asked(0), Compression::None);
        assert_eq!(asked(1), Compression::Zstd);
        assert_eq!(asked(77), Compression::None, "one that is not known yet");
    }

    #[test]
    fn chunks_keep_their_kind_and_are_never_empty() {
        for body in [ManyBody::Chunk("plain".into()), ManyBody::ZstdChunk("packed".into())] {
            let part = ManyPart {
                request_id: 3,
                part: Ok(body),
            };
            assert_eq!(
                ManyPart::try_from(pb::DownloadManyResponse::from(part.clone())),
                Ok(part)
            );
        }
        for body in [ManyBody::Chunk("".into()), ManyBody::ZstdChunk("".into())] {
            let part = ManyPart {
                request_id: 3,
                part: Ok(body),
            };
            ManyPart::try_from(pb::DownloadManyResponse::from(part)).unwrap_err();
        }
    }
}
