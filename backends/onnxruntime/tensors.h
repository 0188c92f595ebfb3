// Between the tensors of requests and those of ONNX Runtime.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/onnxruntime/session.h"

namespace tepal_plugin {

// One input of a batch, gathered: a view of the request's own bytes when they lie in one piece,
// else one aligned block with the rows of all requests one after the other. Must outlive its
// `value`.
class GatheredInput {
 public:
  // `parts` have one type, and one shape but for the first dimension (which is summed when there
  // are several).
  static Error* Gather(const OrtRuntime& runtime, const std::vector<Input>& parts,
                       GatheredInput& out);

  OrtValue* value() const { return value_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const;
  };
  Error* GatherBytes(const OrtRuntime& runtime, const std::vector<Input>& parts,
                     const std::vector<int64_t>& shape);
  Error* GatherStrings(const OrtRuntime& runtime, const std::vector<Input>& parts,
                       const std::vector<int64_t>& shape);

  std::unique_ptr<std::byte, Free> block_;
  OrtOwned<OrtValue> value_;
};

// A result of ONNX Runtime, ready to be cut into rows.
class ResultTensor {
 public:
  static Error* Read(const OrtRuntime& runtime, const OrtValue* value, const std::string& name,
                     ResultTensor& out);

  TRITONSERVER_DataType type() const { return type_; }
  const std::vector<int64_t>& shape() const { return shape_; }

  // Adds rows [first, first + count) to the response; of a model that does not batch, all of it.
  Error* AddRows(Response& response, const std::string& name, bool batches, int64_t first,
                 int64_t count) const;

 private:
  Error* ReadStrings(const OrtRuntime& runtime, const OrtValue* value);

  TRITONSERVER_DataType type_ = TRITONSERVER_TYPE_INVALID;
  std::vector<int64_t> shape_;
  size_t elements_ = 0;
  const std::byte* data_ = nullptr;  // Of the value, for all but strings.
  std::string characters_;           // Of strings: all of them.
  std::vector<size_t> offsets_;      // Where each string begins in them.
};

}  // namespace tepal_plugin
