//! Fingerprints and lists of formats, from and to the wire.

use super::{ProtocolError, decode_digest, decode_format, decode_list, encode_format};
use crate::{document::Format, fingerprint::Fingerprint, limits, pb};

/// A format that is there twice leaves open which one counts.
fn check_once(formats: &[Format], field: impl Fn(usize) -> String) -> Result<(), ProtocolError> {
    for (index, format) in formats.iter().enumerate() {
        if formats.iter().take(index).any(|earlier| earlier == format) {
            return Err(ProtocolError::invalid(field(index), format!("{format} is there twice")));
        }
    }
    Ok(())
}

/// Formats, each at most once.
pub(super) fn decode_formats(field: &str, values: &[i32]) -> Result<Vec<Format>, ProtocolError> {
    let place = |index| format!("{field}[{index}]");
    let formats: Vec<Format> = values
        .iter()
        .take(Format::ALL.len() + 1)
        .enumerate()
        .map(|(index, value)| decode_format(&place(index), *value))
        .collect::<Result<_, _>>()?;
    check_once(&formats, place)?;
    Ok(formats)
}

pub(super) fn encode_formats(formats: &[Format]) -> Vec<i32> {
    formats.iter().copied().map(encode_format).collect()
}

/// Fingerprints, at most one for each format.
pub(super) fn decode_fingerprints(field: &str, list: Vec<pb::Fingerprint>) -> Result<Vec<Fingerprint>, ProtocolError> {
    let fingerprints: Vec<Fingerprint> = decode_list(field, Format::ALL.len(), list)?;
    let formats: Vec<Format> = fingerprints.iter().map(|fingerprint| fingerprint.format).collect();
    check_once(&formats, |index| format!("{field}[{index}].format"))?;
    Ok(fingerprints)
}

impl TryFrom<pb::Fingerprint> for Fingerprint {
    type Error = ProtocolError;

    fn try_from(fingerprint: pb::Fingerprint) -> Result<Self, ProtocolError> {
        let count = fingerprint.document_count;
        let max = limits::MAX_SESSION_DOCUMENTS;
        if usize::try_from(count).is_ok_and(|count| count <= max) {
            Ok(Self {
                format: decode_format("format", fingerprint.format)?,
                count,
                sha256: decode_digest("sha256", &fingerprint.sha256)?,
            })
        } else {
            Err(ProtocolError::invalid(
                "document_count",
                format!("{count} is more than {max}"),
            ))
        }
    }
}

impl From<&Fingerprint> for pb::Fingerprint {
    fn from(fingerprint: &Fingerprint) -> Self {
        Self {
            format: encode_format(fingerprint.format),
            document_count: fingerprint.count,
            sha256: fingerprint.sha256.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::format_number;

    fn sent(format: pb::Format) -> pb::Fingerprint {
        pb::Fingerprint {
            format: format.into(),
            document_count: 7,
            sha256: "ab".repeat(32),
        }
    }

    #[track_caller]
    fn assert_refused(list: Vec<pb::Fingerprint>, field: &str) {
        let error = decode_fingerprints("fingerprints", list).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }

    #[test]
    fn formats_are_hashed_by_the_numbers_that_they_have_on_the_wire() {
        for format in Format::ALL {
            assert_eq!(i64::from(format_number(format)), i64::from(encode_format(format)));
        }
    }

    #[test]
    fn fingerprints_come_back_as_they_were_sent() {
        let list = vec![sent(pb::Format::Json), sent(pb::Format::Txt)];
        let decoded = decode_fingerprints("fingerprints", list.clone()).unwrap();
        assert_eq!(decoded.iter().map(pb::Fingerprint::from).collect::<Vec<_>>(), list);
    }

    #[test]
    fn each_field_that_is_wrong_is_named() {
        let html = || sent(pb::Format::Html);
        assert_refused(vec![html(), sent(pb::Format::Txt), html()], "fingerprints[2].format");
        assert_refused(vec![sent(pb::Format::Unspecified)], "fingerprints[0].format");
        assert_refused(vec![pb::Fingerprint { format: 99, ..html() }], "fingerprints[0].format");
        assert_refused(vec![html(); 6], "fingerprints");
        let short = pb::Fingerprint {
            sha256: "ab".to_owned(),
            ..html()
        };
        assert_refused(vec![short], "fingerprints[0].sha256");
        let missing = pb::Fingerprint {
            sha256: String::new(),
            ..html()
        };
        assert_refused(vec![missing], "fingerprints[0].sha256");
        let large = pb::Fingerprint {
            document_count: 40_001,
            ..html()
        };
        assert_refused(vec![html(), large], "fingerprints[1].document_count");
    }

    #[test]
    fn a_format_is_named_once() {
        let decode = |values: &[i32]| decode_formats("formats", values).map_err(|error| error.field().to_owned());
        assert_eq!(decode(&[5, 1]), Ok(vec![Format::Json, Format::Txt]));
        assert_eq!(decode(&[1, 2, 1]), Err("formats[2]".to_owned()));
        assert_eq!(decode(&[0]), Err("formats[0]".to_owned()));
        assert_eq!(decode(&[1; 100_000]), Err("formats[1]".to_owned()));
    }
}
