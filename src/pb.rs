//! The code generated from `proto/`, and the descriptor set that reflection serves.
//!
//! Only [`wire`](crate::wire), [`client`](crate::client) and the two service adapters name these types; everything
//! else works with the values of [`message`](crate::message).

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags
)]
mod generated {
    tonic::include_proto!("p2pci.v1");
}

pub use generated::*;

/// The encoded `google.protobuf.FileDescriptorSet` of every file under `proto/` and what they import.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/p2pci.v1.bin"));

#[cfg(test)]
mod tests {
    use prost::Message as _;

    #[test]
    fn descriptor_set_decodes_and_holds_every_service() {
        let set = prost_types::FileDescriptorSet::decode(super::FILE_DESCRIPTOR_SET).expect("descriptor set");
        let services: Vec<&str> = set
            .file
            .iter()
            .flat_map(|file| &file.service)
            .map(|service| service.name())
            .collect();
        assert_eq!(services, ["Facts", "FileTransfer", "Registry"]);
    }
}
