//! Tools can look into it: reflection in both versions, or none.

use tonic::{Code, Streaming, transport::Channel};
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::{registry, registry_with, within};

const SERVICES: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "p2pci.v1.Registry",
];

async fn channel(registry: &registry::Server) -> Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", registry.local_addr())).unwrap();
    endpoint.connect().await.unwrap()
}

async fn first<T>(mut stream: Streaming<T>) -> T {
    within(stream.message()).await.unwrap().unwrap()
}

#[tokio::test]
async fn both_versions_list_and_describe_what_is_served() {
    let registry = registry().await;
    let channel = channel(&registry).await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let ask = |request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    use v1::{server_reflection_request::MessageRequest as Ask, server_reflection_response::MessageResponse as Answer};
    let list = tokio_stream::iter([ask(Ask::ListServices(String::new()))]);
    let answer = first(client.server_reflection_info(list).await.unwrap().into_inner()).await;
    let Some(Answer::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, SERVICES);
    for symbol in SERVICES
        .into_iter()
        .chain(["p2pci.v1.Registry.Register", "p2pci.v1.DocumentEntry"])
    {
        let describe = tokio_stream::iter([ask(Ask::FileContainingSymbol(symbol.to_owned()))]);
        let answer = first(client.server_reflection_info(describe).await.unwrap().into_inner()).await;
        assert!(
            matches!(answer.message_response, Some(Answer::FileDescriptorResponse(_))),
            "{symbol}"
        );
    }

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let list = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let call = client.server_reflection_info(tokio_stream::iter([list])).await.unwrap();
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        first(call.into_inner()).await.message_response
    else {
        panic!("no list");
    };
    assert_eq!(list.service.len(), SERVICES.len());
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let registry = registry_with(|config| config.reflection = false).await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(&registry).await);
    let list = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let refused = client
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}
