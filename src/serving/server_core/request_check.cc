#include "serving/server_core/request_check.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/base/text.h"

namespace tepal {
namespace {

constexpr size_t kLengthBytes = 4;  // Before each BYTES element, little-endian.

constexpr size_t kFewInputs = 16;  // Up to here comparing each pair beats a hash table.

// Below, inputs are gone through newest first where the recorded answers show that order.
Status CheckNoDuplicates(const InferenceRequest& request) {
  std::unordered_set<std::string_view> names;
  const bool few = request.inputs.size() <= kFewInputs;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const std::string& name = request.inputs[i].name;
    const bool repeated =
        few ? std::any_of(request.inputs.begin(), request.inputs.begin() + static_cast<long>(i),
                          [&](const InputTensor& earlier) { return earlier.name == name; })
            : !names.insert(name).second;
    if (repeated) {
      return InvalidArgument(
          Concat(RequestIdPrefix(request), "input '", name, "' already exists in request"));
    }
  }
  return {};
}

Status CheckOutputs(const ModelConfig& config, const InferenceRequest& request) {
  for (const std::string& output : request.requested_outputs) {
    if (config.FindOutput(output) != nullptr) continue;
    return InvalidArgument(
        Concat("unexpected inference output '", output, "' for model '", config.name, "'"));
  }
  return {};
}

std::string QuotedList(const std::vector<std::string_view>& names) {
  std::string list = "[";
  for (const std::string_view name : names) {
    if (list.size() > 1) list += ',';
    list += Concat("'", name, "'");
  }
  return list + "]";
}

Status CheckInputCount(const ModelConfig& config, const InferenceRequest& request) {
  const size_t most = config.inputs.size(), got = request.inputs.size();
  const auto required =
      static_cast<size_t>(std::count_if(config.inputs.begin(), config.inputs.end(),
                                        [](const ModelInput& input) { return !input.optional; }));
  if (got >= required && got <= most) return {};
  std::vector<std::string_view> given, missing;
  for (auto input = request.inputs.rbegin(); input != request.inputs.rend(); ++input) {
    given.push_back(input->name);
  }
  for (const ModelInput& input : config.inputs) {
    if (!input.optional && request.FindInput(input.name) == nullptr) missing.push_back(input.name);
  }
  const std::string expected =
      required == most ? Concat("expected ", most, " inputs")
                       : Concat("expected number of inputs between ", required, " and ", most);
  // Triton closes an empty list of missing inputs without opening it; clients may compare.
  return InvalidArgument(Concat(
      RequestIdPrefix(request), expected, " but got ", got, " inputs for model '", config.name,
      "'. Got input(s) ", QuotedList(given), ", but missing required input(s) ",
      missing.empty() ? "]" : QuotedList(missing), ". Please provide all required input(s)."));
}

Status SetBatchRows(const ModelConfig& config, InferenceRequest& request) {
  request.batch_rows = 1;
  if (config.max_batch_size == 0) return {};
  std::optional<int64_t> rows;
  for (auto input = request.inputs.rbegin(); input != request.inputs.rend(); ++input) {
    if (input->shape.empty()) {
      return InvalidArgument(Concat(RequestIdPrefix(request), "input '", input->name,
                                    "' has no shape but model requires batch dimension for '",
                                    config.name, "'"));
    }
    if (rows && *rows != input->shape[0]) {
      return InvalidArgument(Concat(RequestIdPrefix(request), "input '", input->name,
                                    "' batch size does not match other inputs for '", config.name,
                                    "'"));
    }
    rows = input->shape[0];
  }
  if (!rows) return {};  // Every input is optional and left out.
  if (*rows > config.max_batch_size) {
    return InvalidArgument(Concat(RequestIdPrefix(request),
                                  "inference request batch-size must be <= ", config.max_batch_size,
                                  " for '", config.name, "'"));
  }
  if (*rows < 1) {
    return InvalidArgument(Concat(RequestIdPrefix(request),
                                  "inference request batch-size must be >= 1 for '", config.name,
                                  "', got ", *rows));
  }
  request.batch_rows = *rows;
  return {};
}

Shape FullShape(const ModelConfig& config, const ModelInput& declared) {
  Shape full;
  if (config.max_batch_size > 0) full.push_back(-1);
  full.insert(full.end(), declared.dims.begin(), declared.dims.end());
  return full;
}

Status CheckTypeAndShape(const ModelConfig& config, const ModelInput& declared,
                         const InferenceRequest& request, const InputTensor& input) {
  if (input.type != declared.type) {
    return InvalidArgument(Concat(RequestIdPrefix(request), "inference input '", input.name,
                                  "' data-type is '", DataTypeName(input.type), "', but model '",
                                  config.name, "' expects '", DataTypeName(declared.type), "'"));
  }
  const Shape expected = FullShape(config, declared);
  const bool negative = std::any_of(input.shape.begin(), input.shape.end(),
                                    [](int64_t length) { return length < 0; });
  if (!negative && ShapeMatches(expected, input.shape)) return {};
  constexpr std::string_view kBatchNote =
      "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to "
      "be prepended to each input shape. If you want to specify the full shape including the "
      "batch dim in your input dims config, try setting max_batch_size to zero. See the model "
      "configuration docs for more info on max_batch_size.";
  return InvalidArgument(Concat(RequestIdPrefix(request), "unexpected shape for input '",
                                input.name, "' for model '", config.name, "'. Expected ",
                                ShapeText(expected), ", got ", ShapeText(input.shape), ". ",
                                config.max_batch_size > 0 ? kBatchNote : ""));
}

// Reads across the pieces of a tensor's data.
class Reader {
 public:
  explicit Reader(const BufferList& data) : data_(data), left_(TotalSize(data)) {}
  size_t left() const { return left_; }

  uint32_t Length() {
    unsigned char bytes[kLengthBytes];
    for (unsigned char& byte : bytes) {
      while (at_ == data_[piece_].size()) {
        ++piece_;
        at_ = 0;
      }
      byte = std::to_integer<unsigned char>(data_[piece_].data()[at_++]);
    }
    left_ -= kLengthBytes;
    return static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
           static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24;
  }
  void Skip(size_t size) {
    left_ -= size;
    while (size > 0) {
      const size_t here = std::min(size, data_[piece_].size() - at_);
      at_ += here;
      size -= here;
      if (size > 0) {
        ++piece_;
        at_ = 0;
      }
    }
  }

 private:
  const BufferList& data_;
  size_t piece_ = 0, at_ = 0;
  size_t left_;
};

Status CheckElements(const ModelConfig& config, const InferenceRequest& request,
                     const InputTensor& input, int64_t expected) {
  Reader reader(input.data);
  int64_t count = 0;
  for (; reader.left() > 0; ++count) {
    if (reader.left() < kLengthBytes) {
      return InvalidArgument(Concat("incomplete string length indicator for inference input '",
                                    input.name, "', expecting ", kLengthBytes, " bytes but only ",
                                    reader.left(), " bytes available"));
    }
    const uint32_t length = reader.Length();
    if (length > reader.left()) {
      return InvalidArgument(Concat("incomplete string data for inference input '", input.name,
                                    "', expecting string of length ", length, " but only ",
                                    reader.left(), " bytes available"));
    }
    reader.Skip(length);
  }
  if (count == expected) return {};
  return InvalidArgument(Concat(RequestIdPrefix(request), "expected ", expected,
                                " string elements for inference input '", input.name,
                                "' for model '", config.name, "', got ", count));
}

Status CheckData(const ModelConfig& config, const InferenceRequest& request,
                 const InputTensor& input) {
  const std::optional<int64_t> elements = ElementCount(input.shape);
  const size_t size = DataTypeSize(input.type);
  const bool fits = elements && (size == 0 || *elements <= INT64_MAX / static_cast<int64_t>(size));
  if (!fits) {
    return InvalidArgument(Concat(RequestIdPrefix(request), "shape ", ShapeText(input.shape),
                                  " of input '", input.name, "' for model '", config.name,
                                  "' is too large: its size does not fit 63 bits"));
  }
  if (input.type == DataType::kBytes) return CheckElements(config, request, input, *elements);
  const auto expected = static_cast<uint64_t>(*elements) * size;
  const uint64_t got = TotalSize(input.data);
  if (got == expected) return {};
  return InvalidArgument(Concat(RequestIdPrefix(request), "input byte size mismatch for input '",
                                input.name, "' for model '", config.name, "'. Expected ", expected,
                                ", got ", got));
}

Status CheckInputs(const ModelConfig& config, const InferenceRequest& request) {
  for (const InputTensor& input : request.inputs) {
    const ModelInput* declared = config.FindInput(input.name);
    if (declared == nullptr) {
      return InvalidArgument(
          Concat("unexpected inference input '", input.name, "' for model '", config.name, "'"));
    }
    RETURN_IF_ERROR(CheckTypeAndShape(config, *declared, request, input));
    RETURN_IF_ERROR(CheckData(config, request, input));
  }
  return {};
}

Status CheckRequired(const ModelConfig& config, const InferenceRequest& request) {
  for (const ModelInput& declared : config.inputs) {
    if (declared.optional || request.FindInput(declared.name) != nullptr) continue;
    return InvalidArgument(Concat(RequestIdPrefix(request), "missing required input '",
                                  declared.name, "' for model '", config.name, "'"));
  }
  return {};
}

// Requests that name the same inputs in another order can then share a batch.
void SortInputs(const ModelConfig& config, InferenceRequest& request) {
  size_t place = 0;
  for (const ModelInput& declared : config.inputs) {
    for (size_t i = place; i < request.inputs.size(); ++i) {
      if (request.inputs[i].name != declared.name) continue;
      if (i != place) std::swap(request.inputs[i], request.inputs[place]);
      ++place;
      break;
    }
  }
}

}  // namespace

Status CheckRequest(const ModelConfig& config, InferenceRequest& request) {
  RETURN_IF_ERROR(CheckNoDuplicates(request));
  RETURN_IF_ERROR(CheckOutputs(config, request));
  RETURN_IF_ERROR(CheckInputCount(config, request));
  RETURN_IF_ERROR(SetBatchRows(config, request));
  RETURN_IF_ERROR(CheckInputs(config, request));
  RETURN_IF_ERROR(CheckRequired(config, request));
  SortInputs(config, request);
  return {};
}

}  // namespace tepal
