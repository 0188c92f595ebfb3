#include "backends/onnxruntime/tensors.h"

#include <cstdlib>

namespace tepal_plugin {
namespace {

constexpr size_t kAlignment = 64;

std::vector<int64_t> GatheredShape(const std::vector<Input>& parts) {
  std::vector<int64_t> shape(parts[0].shape.begin(), parts[0].shape.end());
  for (size_t i = 1; i < parts.size(); ++i) shape[0] += parts[i].shape[0];
  return shape;
}

size_t ElementCount(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t length : shape) count *= static_cast<size_t>(length);
  return count;
}

// Appends the strings of one input, each with its length in front (4 bytes, little-endian).
Error* SplitStrings(const Input& input, std::vector<std::string>& out) {
  std::string bytes(input.byte_size, '\0');
  TEPAL_RETURN_IF_ERROR(input.CopyTo(reinterpret_cast<std::byte*>(bytes.data())));
  size_t at = 0;
  while (at < bytes.size()) {
    uint32_t length = 0;
    if (bytes.size() - at < sizeof(length)) break;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    at += sizeof(length);
    if (bytes.size() - at < length) break;
    out.push_back(bytes.substr(at, length));
    at += length;
    if (at == bytes.size()) return nullptr;
  }
  if (bytes.empty()) return nullptr;
  return InvalidArgument(std::string("input '") + input.name +
                         "': the data ends within a string element");
}

}  // namespace

void GatheredInput::Free::operator()(std::byte* bytes) const { std::free(bytes); }

Error* GatheredInput::Gather(const OrtRuntime& runtime, const std::vector<Input>& parts,
                             GatheredInput& out) {
  const std::vector<int64_t> shape = GatheredShape(parts);
  if (parts[0].type == TRITONSERVER_TYPE_BYTES) return out.GatherStrings(runtime, parts, shape);
  return out.GatherBytes(runtime, parts, shape);
}

Error* GatheredInput::GatherBytes(const OrtRuntime& runtime, const std::vector<Input>& parts,
                                  const std::vector<int64_t>& shape) {
  const size_t element = TRITONSERVER_DataTypeByteSize(parts[0].type);
  size_t size = 0;
  for (const Input& part : parts) size += part.byte_size;
  if (element == 0 || size != ElementCount(shape) * element) {
    return InvalidArgument(std::string("input '") + parts[0].name + "' has " +
                           std::to_string(size) + " bytes, its shape " + ShapeText(shape) + " of " +
                           TRITONSERVER_DataTypeString(parts[0].type) + " needs " +
                           std::to_string(ElementCount(shape) * element));
  }
  const std::byte* data = nullptr;
  if (parts.size() == 1 && parts[0].buffer_count == 1) {
    std::span<const std::byte> whole;
    TEPAL_RETURN_IF_ERROR(parts[0].Part(0, whole));
    if (reinterpret_cast<uintptr_t>(whole.data()) % element == 0) data = whole.data();
  }
  if (data == nullptr) {
    const size_t rounded = (std::max<size_t>(size, 1) + kAlignment - 1) / kAlignment * kAlignment;
    block_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded)));
    if (block_ == nullptr) {
      return Fail(TRITONSERVER_ERROR_UNAVAILABLE,
                  "no memory for a batch of " + std::to_string(size) + " bytes");
    }
    std::byte* to = block_.get();
    for (const Input& part : parts) {
      TEPAL_RETURN_IF_ERROR(part.CopyTo(to));
      to += part.byte_size;
    }
    data = block_.get();
  }
  OrtValue* value = nullptr;
  TEPAL_RETURN_IF_ERROR(runtime.Check(
      // The runtime does not write to inputs.
      runtime.api->CreateTensorWithDataAsOrtValue(runtime.cpu_memory.get(),
                                                  const_cast<std::byte*>(data), size, shape.data(),
                                                  shape.size(), OrtTypeOf(parts[0].type), &value),
      std::string("making input '") + parts[0].name + "'"));
  value_ = {value, runtime.api->ReleaseValue};
  return nullptr;
}

Error* GatheredInput::GatherStrings(const OrtRuntime& runtime, const std::vector<Input>& parts,
                                    const std::vector<int64_t>& shape) {
  std::vector<std::string> strings;
  for (const Input& part : parts) TEPAL_RETURN_IF_ERROR(SplitStrings(part, strings));
  if (strings.size() != ElementCount(shape)) {
    return InvalidArgument(std::string("input '") + parts[0].name + "' has " +
                           std::to_string(strings.size()) + " strings, its shape " +
                           ShapeText(shape) + " needs " + std::to_string(ElementCount(shape)));
  }
  const std::string doing = std::string("making input '") + parts[0].name + "'";
  OrtValue* value = nullptr;
  TEPAL_RETURN_IF_ERROR(runtime.Check(
      runtime.api->CreateTensorAsOrtValue(runtime.allocator, shape.data(), shape.size(),
                                          ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value),
      doing));
  value_ = {value, runtime.api->ReleaseValue};
  for (size_t i = 0; i < strings.size(); ++i) {
    char* place = nullptr;
    TEPAL_RETURN_IF_ERROR(runtime.Check(
        runtime.api->GetResizedStringTensorElementBuffer(value, i, strings[i].size(), &place),
        doing));
    if (!strings[i].empty()) std::memcpy(place, strings[i].data(), strings[i].size());
  }
  return nullptr;
}

Error* ResultTensor::Read(const OrtRuntime& runtime, const OrtValue* value, const std::string& name,
                          ResultTensor& out) {
  const OrtApi& api = *runtime.api;
  const auto check = [&](OrtStatus* status) {
    return runtime.Check(status, "reading output '" + name + "'");
  };
  int is_tensor = 0;
  TEPAL_RETURN_IF_ERROR(check(api.IsTensor(value, &is_tensor)));
  if (is_tensor == 0) return Internal("output '" + name + "' is not a tensor");
  OrtTensorTypeAndShapeInfo* info = nullptr;
  TEPAL_RETURN_IF_ERROR(check(api.GetTensorTypeAndShape(value, &info)));
  const OrtOwned<OrtTensorTypeAndShapeInfo> owned(info, api.ReleaseTensorTypeAndShapeInfo);
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  size_t rank = 0;
  TEPAL_RETURN_IF_ERROR(check(api.GetTensorElementType(info, &element)));
  TEPAL_RETURN_IF_ERROR(check(api.GetDimensionsCount(info, &rank)));
  out.shape_.resize(rank);
  TEPAL_RETURN_IF_ERROR(check(api.GetDimensions(info, out.shape_.data(), rank)));
  TEPAL_RETURN_IF_ERROR(check(api.GetTensorShapeElementCount(info, &out.elements_)));
  out.type_ = DataTypeOf(element);
  if (out.type_ == TRITONSERVER_TYPE_BYTES) return out.ReadStrings(runtime, value);
  void* data = nullptr;
  // The C API has no read-only form of this call.
  TEPAL_RETURN_IF_ERROR(check(api.GetTensorMutableData(const_cast<OrtValue*>(value), &data)));
  out.data_ = static_cast<const std::byte*>(data);
  return nullptr;
}

Error* ResultTensor::ReadStrings(const OrtRuntime& runtime, const OrtValue* value) {
  size_t size = 0;
  TEPAL_RETURN_IF_ERROR(
      runtime.Check(runtime.api->GetStringTensorDataLength(value, &size), "measuring strings"));
  characters_.resize(size);
  offsets_.resize(elements_ + 1);
  TEPAL_RETURN_IF_ERROR(
      runtime.Check(runtime.api->GetStringTensorContent(value, characters_.data(), size,
                                                        offsets_.data(), elements_),
                    "reading strings"));
  offsets_[elements_] = size;
  return nullptr;
}

Error* ResultTensor::AddRows(Response& response, const std::string& name, bool batches,
                             int64_t first, int64_t count) const {
  std::vector<int64_t> shape = shape_;
  size_t from = 0;
  size_t elements = elements_;
  if (batches && !shape.empty() && shape[0] > 0) {
    const size_t row = elements_ / static_cast<size_t>(shape[0]);
    shape[0] = count;
    from = static_cast<size_t>(first) * row;
    elements = static_cast<size_t>(count) * row;
  }
  std::byte* to = nullptr;
  if (type_ != TRITONSERVER_TYPE_BYTES) {
    const size_t element = TRITONSERVER_DataTypeByteSize(type_);
    TEPAL_RETURN_IF_ERROR(response.AddOutput(name.c_str(), type_, shape, elements * element, to));
    if (elements > 0) std::memcpy(to, data_ + from * element, elements * element);
    return nullptr;
  }
  const size_t characters = offsets_[from + elements] - offsets_[from];
  TEPAL_RETURN_IF_ERROR(
      response.AddOutput(name.c_str(), type_, shape, characters + elements * sizeof(uint32_t), to));
  for (size_t i = from; i < from + elements; ++i) {
    const auto length = static_cast<uint32_t>(offsets_[i + 1] - offsets_[i]);
    std::memcpy(to, &length, sizeof(length));
    std::memcpy(to + sizeof(length), characters_.data() + offsets_[i], length);
    to += sizeof(length) + length;
  }
  return nullptr;
}

}  // namespace tepal_plugin
