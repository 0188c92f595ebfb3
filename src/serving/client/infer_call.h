// What is asked of a v2 server and what it answers, whatever protocol carries it.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "serving/tensor/data_type.h"
#include "serving/tensor/shape.h"

namespace tepal::client {

struct ServerDeclaration {
  std::string name, version;
  std::vector<std::string> extensions;
};

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

// What a client needs of a model's configuration.
struct ModelLimits {
  int64_t max_batch_size = 0;  // 0: the model does not batch.
  bool decoupled = false;      // A request may have any number of answers.
};

// A model's counters since it was loaded, all versions together (Triton's statistics extension).
struct ModelStatistics {
  struct Total {
    uint64_t count = 0, ns = 0;
  };
  uint64_t inference_count = 0;  // Rows.
  uint64_t execution_count = 0;  // Batches.
  Total success, fail, queue, compute_input, compute_infer, compute_output;
};

// A region of shared memory as a server is told of it.
struct SharedRegion {
  std::string name;
  std::string key;  // Of the POSIX object: "/name".
  uint64_t offset = 0;
  uint64_t size = 0;
};

// A tensor's place in a registered region.
struct RegionPart {
  std::string region;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct InferInput {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  Buffer data;  // Little endian; a BYTES element follows its length in four bytes.
  std::optional<RegionPart> shared{};  // Given: the server reads it there, `data` is not sent.
};

struct RequestedOutput {
  std::string name;
  int classification = 0;  // So many top classes instead of its values.
  std::optional<RegionPart> shared{};
};

struct InferCall {
  std::string model;
  std::vector<InferInput> inputs;
  std::vector<RequestedOutput> outputs;  // Empty: all of them.
};

struct InferOutput {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  Buffer data;  // As InferInput has it; empty when it is in shared memory.
};

struct InferAnswer {
  std::string model_version;
  std::vector<InferOutput> outputs;
};

// The elements of a BYTES tensor. kInternal when it ends within one.
Result<std::vector<std::string_view>> ReadStrings(const Buffer& data);

// "sunflowers" from "0.962:3:sunflowers": what the classification extension answers. Without a
// label file there is no label.
struct Classification {
  double score = 0;
  int64_t index = 0;
  std::string label;
};
Result<Classification> ParseClassification(std::string_view text);

}  // namespace tepal::client
