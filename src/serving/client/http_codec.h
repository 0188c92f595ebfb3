// The v2 protocol over HTTP, as bytes: requests of a client written, answers read. Pure.

#pragma once

#include "core/json/value.h"
#include "network/net/http_client.h"
#include "serving/client/infer_call.h"

namespace tepal::client {

enum class TensorForm {
  kBinary,  // Tensors follow the JSON part (Triton's binary_tensor_data), both ways.
  kJson,    // Tensors are JSON arrays, both ways.
};

// The request as it goes on the wire: a head with its headers, and the body: a JSON part, then the
// tensors' bytes (shared, not copied).
struct EncodedRequest {
  http::RequestHead head;
  BufferList body;
};
// kInvalidArgument for what JSON cannot say: FP16, BF16.
Result<EncodedRequest> EncodeInfer(const InferCall& call, TensorForm form);

http::RequestHead MakeGet(std::string target);
EncodedRequest EncodeRegister(const SharedRegion& region);
EncodedRequest EncodeUnregister(const std::string& region);

// A status other than 200 becomes the server's own words, with the status in front.
Status CheckAnswer(const net::HttpClient::Response& response);
Result<InferAnswer> DecodeInfer(const net::HttpClient::Response& response);
Result<ServerDeclaration> DecodeServer(const net::HttpClient::Response& response);
Result<ModelDeclaration> DecodeMetadata(const net::HttpClient::Response& response);
Result<ModelLimits> DecodeLimits(const net::HttpClient::Response& response);
Result<ModelStatistics> DecodeStatistics(const net::HttpClient::Response& response);

}  // namespace tepal::client
