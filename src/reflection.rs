//! Reflection (`grpc.reflection` v1 and v1alpha), by which `grpcurl` and others learn what a server offers.

use tonic::service::Routes;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::{Builder, Error},
};

use crate::pb;

/// The largest request of reflection: it names one symbol or file.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// Services that both processes offer beside their own.
const COMMON_SERVICES: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

fn builder(services: &[&str]) -> Builder<'static> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The details of errors. A tool that finds them described shows what they say instead of their bytes.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET);
    let services = services.iter().copied().chain(COMMON_SERVICES);
    services.fold(builder, Builder::with_service_name)
}

/// Adds reflection to a server that offers `services` (their full names) and health.
///
/// # Errors
///
/// When a descriptor set that was compiled in cannot be read, which is a defect of the build.
pub fn with_reflection(routes: Routes, services: &[&str]) -> Result<Routes, Error> {
    let v1 = builder(services)
        .build_v1()?
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    let v1alpha = builder(services)
        .build_v1alpha()?
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    Ok(routes.add_service(v1).add_service(v1alpha))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{FILE_TRANSFER_SERVICE, REGISTRY_SERVICE};

    #[test]
    fn every_descriptor_set_can_be_read() {
        for service in [REGISTRY_SERVICE, FILE_TRANSFER_SERVICE] {
            assert!(with_reflection(Routes::default(), &[service]).is_ok());
        }
    }
}
