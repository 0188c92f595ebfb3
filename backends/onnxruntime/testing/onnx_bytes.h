// Small ONNX files written by hand, for tests: just enough of the protobuf encoding.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tepal_plugin::testing {

enum OnnxType : int { kOnnxFloat = 1, kOnnxInt64 = 7, kOnnxString = 8 };

struct OnnxTensor {
  std::string name;
  OnnxType type = kOnnxFloat;
  std::vector<int64_t> dims;  // -1: free.
};

struct OnnxNode {
  std::string operation;
  std::vector<std::string> inputs, outputs;
};

inline std::string Varint(uint64_t value) {
  std::string out;
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
  return out;
}
inline std::string Number(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}
inline std::string Bytes(int field, std::string_view value) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(value.size()) + std::string(value);
}

inline std::string ValueInfo(const OnnxTensor& tensor) {
  std::string shape;
  for (const int64_t length : tensor.dims) {
    shape += Bytes(1, length < 0 ? Bytes(2, "free") : Number(1, static_cast<uint64_t>(length)));
  }
  const std::string tensor_type = Number(1, static_cast<uint64_t>(tensor.type)) + Bytes(2, shape);
  return Bytes(1, tensor.name) + Bytes(2, Bytes(1, tensor_type));
}

// ONNX IR version 8, operator set 17.
inline std::string OnnxModel(const std::vector<OnnxNode>& nodes,
                             const std::vector<OnnxTensor>& inputs,
                             const std::vector<OnnxTensor>& outputs) {
  std::string graph;
  for (const OnnxNode& node : nodes) {
    std::string body;
    for (const std::string& name : node.inputs) body += Bytes(1, name);
    for (const std::string& name : node.outputs) body += Bytes(2, name);
    graph += Bytes(1, body + Bytes(4, node.operation));
  }
  graph += Bytes(2, "g");
  for (const OnnxTensor& tensor : inputs) graph += Bytes(11, ValueInfo(tensor));
  for (const OnnxTensor& tensor : outputs) graph += Bytes(12, ValueInfo(tensor));
  return Number(1, 8) + Bytes(7, graph) + Bytes(8, Bytes(1, "") + Number(2, 17));
}

}  // namespace tepal_plugin::testing
