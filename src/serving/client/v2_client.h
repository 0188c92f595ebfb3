// A client of the v2 inference protocol over HTTP, with the binary tensor extension: works against
// any server that speaks it.
//
// Sources: the Open Inference Protocol (KServe v2) and Triton's binary_tensor_data and
// classification extensions. Used on the loop of its HttpClient. Sends each request once: retrying
// is the caller's.

#pragma once

#include <string>
#include <vector>

#include "core/json/value.h"
#include "network/net/http_client.h"
#include "serving/tensor/data_type.h"
#include "serving/tensor/shape.h"

namespace tepal::client {

struct TensorDeclaration {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;  // -1 where any length is taken; the first of them is the batch where there is one.
};

struct ModelDeclaration {
  std::string name;
  std::string platform;
  std::vector<TensorDeclaration> inputs, outputs;
};

struct InferInput {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  Buffer data;  // Little endian, as the binary extension has it.
};

struct InferCall {
  std::string model;
  std::vector<InferInput> inputs;
  std::string output;      // Empty: all of them.
  int classification = 0;  // Top classes wanted of `output`; 0: its values.
};

struct InferOutput {
  std::string name;
  std::string datatype;
  Shape shape;
  json::Value data;  // The JSON array.
};

struct InferAnswer {
  std::string model_version;
  std::vector<InferOutput> outputs;
};

// "sunflowers" from "0.962:3:sunflowers": what the classification extension answers. Without a
// label file there is no label.
struct Classification {
  double score = 0;
  int64_t index = 0;
  std::string label;
};
Result<Classification> ParseClassification(std::string_view text);

// The request as it goes on the wire: a head with its headers, and the body: a JSON part, then the
// tensors' bytes (shared, not copied).
struct EncodedRequest {
  http::RequestHead head;
  BufferList body;
};
EncodedRequest EncodeInfer(const InferCall& call);

// A status other than 200 becomes the server's own words, with the status in front.
Result<InferAnswer> DecodeInfer(const net::HttpClient::Response& response);
Result<ModelDeclaration> DecodeMetadata(const net::HttpClient::Response& response);

class V2Client {
 public:
  // `client` and its loop outlive this.
  V2Client(net::HttpClient& client, env::Address server);

  // Each calls `done` once, later.
  void Metadata(const std::string& model, Duration time_max,
                Function<void(Result<ModelDeclaration>)> done);
  void Infer(const InferCall& call, Duration time_max, Function<void(Result<InferAnswer>)> done);

 private:
  net::HttpClient& client_;
  const env::Address server_;
};

}  // namespace tepal::client
