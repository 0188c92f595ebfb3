// What a middleman must know of an inference request, read without taking it apart.
//
// The tensors are never looked at: over gRPC their fields are stepped over by length, and JSON is
// parsed only when the text could say something of interest. What is malformed gives no facts; the
// server will say what is wrong with it. Pure.

#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tepal {

struct RequestFacts {
  std::string model;
  // Names the sequence among all of the model's; 0: it belongs to none.
  uint64_t sequence = 0;
  bool sequence_start = false;
  bool sequence_end = false;
  bool versioned = false;  // It names a version of the model.
  // The parameter "timeout"; 0: none.
  std::chrono::microseconds timeout{0};
};

// "/v2/models/M/versions/V/infer" -> "M"; empty for paths without a model. Still percent-encoded.
std::string_view ModelOfPath(std::string_view path);

// `message`: an inference.ModelInferRequest, or as much of it as has come.
RequestFacts ReadGrpcInferRequest(std::string_view message);

// `json`: the request's body, without the tensors that follow it in binary. Of a long one a timeout
// is not looked for.
RequestFacts ReadInferJson(std::string_view model, std::string_view json);

}  // namespace tepal
