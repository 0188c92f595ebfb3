#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <type_traits>

#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"
#include "serving/kserve/grpc_infer.h"
#include "serving/kserve/proto_reader.h"

namespace tepal::kserve {
namespace {

using ParameterValue = std::variant<bool, int64_t, uint64_t, double, std::string_view>;

// InferParameter; empty when it is malformed or holds nothing.
std::optional<ParameterValue> ReadParameter(std::string_view bytes) {
  std::optional<ParameterValue> value;
  uint64_t number = 0;
  std::string_view text;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    switch (reader.field()) {
      case 1:
        if (reader.Varint(number)) value = number != 0;
        break;
      case 2:
        if (reader.Varint(number)) value = static_cast<int64_t>(number);
        break;
      case 3:
        if (reader.Bytes(text)) value = text;
        break;
      case 4:
        if (reader.Fixed64(number)) value = std::bit_cast<double>(number);
        break;
      case 5:
        if (reader.Varint(number)) value = number;
        break;
      default:
        reader.Skip();
    }
  }
  return reader.ok() ? value : std::nullopt;
}

Status WrongType(std::string_view name, std::string_view expected) {
  return InvalidArgument(
      Concat("invalid value type for '", name, "' parameter, expected ", expected));
}

Status TakeBool(std::string_view name, const ParameterValue& value, bool& into) {
  if (const bool* given = std::get_if<bool>(&value)) {
    into = *given;
    return {};
  }
  return WrongType(name, "bool_param");
}

Status TakeUnsigned(std::string_view name, const ParameterValue& value, uint64_t& into) {
  if (const auto* given = std::get_if<int64_t>(&value)) {
    if (*given < 0) {
      return InvalidArgument(Concat("invalid value for '", name, "', expected value >= 0."));
    }
    into = static_cast<uint64_t>(*given);
  } else if (const auto* large = std::get_if<uint64_t>(&value)) {
    into = *large;
  } else {
    return WrongType(name, "int64_param or uint64_param");
  }
  return {};
}

Parameter FreeParameter(std::string_view name, const ParameterValue& value) {
  Parameter parameter{std::string(name), false};
  std::visit(
      [&parameter](const auto& given) {
        using Value = std::decay_t<decltype(given)>;
        if constexpr (std::is_same_v<Value, std::string_view>) {
          parameter.value = std::string(given);
        } else if constexpr (std::is_same_v<Value, uint64_t>) {
          if (given >> 63 == 0) {
            parameter.value = static_cast<int64_t>(given);
          } else {
            parameter.value = static_cast<double>(given);
          }
        } else {
          parameter.value = given;
        }
      },
      value);
  return parameter;
}

// The lists of InferTensorContents by field number, and the type each is named by.
constexpr DataType kContentTypes[] = {DataType::kInvalid, DataType::kBool,   DataType::kInt32,
                                      DataType::kInt64,   DataType::kUint32, DataType::kUint64,
                                      DataType::kFp32,    DataType::kFp64,   DataType::kBytes};

// Small integers travel in the lists of 32 bits.
bool Travels(DataType type, DataType list) {
  if (list == DataType::kInt32) {
    return type == DataType::kInt8 || type == DataType::kInt16 || type == DataType::kInt32;
  }
  if (list == DataType::kUint32) {
    return type == DataType::kUint8 || type == DataType::kUint16 || type == DataType::kUint32;
  }
  return type == list;
}

template <typename T>
void AppendElement(ByteWriter& out, T value) {
  out.Append({reinterpret_cast<const char*>(&value), sizeof(value)});
}

// Appends the list's integers as T; false when one does not fit.
template <typename T>
bool AppendIntegers(ProtoReader& reader, ByteWriter& out) {
  bool fits = true;
  const bool parsed = reader.Varints([&](uint64_t bits) {
    const auto value = static_cast<T>(bits);
    using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
    fits = fits && static_cast<Wide>(value) == static_cast<Wide>(bits);
    AppendElement(out, value);
  });
  return parsed && fits;
}

bool AppendList(ProtoReader& reader, DataType type, ByteWriter& out) {
  switch (type) {
    case DataType::kBool:
      return reader.Varints([&out](uint64_t value) { out.Append(value != 0 ? '\1' : '\0'); });
    case DataType::kInt8:
      return AppendIntegers<int8_t>(reader, out);
    case DataType::kInt16:
      return AppendIntegers<int16_t>(reader, out);
    case DataType::kInt32:
      return AppendIntegers<int32_t>(reader, out);
    case DataType::kInt64:
      return AppendIntegers<int64_t>(reader, out);
    case DataType::kUint8:
      return AppendIntegers<uint8_t>(reader, out);
    case DataType::kUint16:
      return AppendIntegers<uint16_t>(reader, out);
    case DataType::kUint32:
      return AppendIntegers<uint32_t>(reader, out);
    case DataType::kUint64:
      return AppendIntegers<uint64_t>(reader, out);
    case DataType::kFp32:
      return reader.Fixeds<uint32_t>([&out](uint32_t bits) { AppendElement(out, bits); });
    case DataType::kFp64:
      return reader.Fixeds<uint64_t>([&out](uint64_t bits) { AppendElement(out, bits); });
    default: {
      std::string_view text;
      if (!reader.Bytes(text)) return false;
      AppendElement(out, static_cast<uint32_t>(text.size()));
      out.Append(text);
      return true;
    }
  }
}

}  // namespace

bool GrpcInferRequest::ParseEntry(std::string_view bytes, Map& map) {
  std::string_view key, value;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(key);
    } else if (reader.field() == 2) {
      reader.Bytes(value);
    } else {
      reader.Skip();
    }
  }
  map.emplace_back(key, value);
  return reader.ok();
}

bool GrpcInferRequest::ParseTensor(std::string_view bytes, Tensor& tensor) {
  std::string_view entry;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    switch (reader.field()) {
      case 1:
        reader.Bytes(tensor.name);
        break;
      case 2:
        reader.Bytes(tensor.datatype);
        break;
      case 3:
        reader.Varints(
            [&tensor](uint64_t length) { tensor.shape.push_back(static_cast<int64_t>(length)); });
        break;
      case 4: {
        Map parameters;
        if (!reader.Bytes(entry) || !ParseEntry(entry, parameters)) return false;
        if (parameters.front().first == "shared_memory_region") tensor.in_shared_memory = true;
        break;
      }
      case 5:
        tensor.has_contents = true;
        reader.Bytes(tensor.contents);
        break;
      default:
        reader.Skip();
    }
  }
  return reader.ok();
}

bool GrpcInferRequest::ParseOutput(std::string_view bytes, Output& output) {
  std::string_view entry;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(output.name);
    } else if (reader.field() == 2) {
      if (!reader.Bytes(entry) || !ParseEntry(entry, output.parameters)) return false;
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

Result<GrpcInferRequest> GrpcInferRequest::Parse(const Buffer& message) {
  GrpcInferRequest parsed;
  parsed.message_ = message;
  std::string_view bytes;
  ProtoReader reader(message.text());
  bool good = true;
  while (good && reader.Next()) {
    switch (reader.field()) {
      case 1:
        reader.Bytes(parsed.model_name_);
        break;
      case 2:
        reader.Bytes(parsed.model_version_);
        break;
      case 3:
        reader.Bytes(parsed.id_);
        break;
      case 4:
        good = reader.Bytes(bytes) && ParseEntry(bytes, parsed.parameters_);
        break;
      case 5:
        good = reader.Bytes(bytes) && ParseTensor(bytes, parsed.inputs_.emplace_back());
        break;
      case 6:
        good = reader.Bytes(bytes) && ParseOutput(bytes, parsed.outputs_.emplace_back());
        break;
      case 7:
        if (reader.Bytes(bytes)) parsed.raw_.push_back(bytes);
        break;
      default:
        reader.Skip();
    }
  }
  if (!good || !reader.ok()) return Internal("Unable to parse request");
  return parsed;
}

Status GrpcInferRequest::Fill(InferenceRequest& request, AnswerForm& form) const {
  request.id = id_;
  RETURN_IF_ERROR(FillParameters(request));
  RETURN_IF_ERROR(FillOutputs(request, form));
  return FillInputs(request);
}

Status GrpcInferRequest::FillParameters(InferenceRequest& request) const {
  for (const auto& [name, bytes] : parameters_) {
    const std::optional<ParameterValue> value = ReadParameter(bytes);
    if (!value.has_value()) {
      return InvalidArgument(Concat("invalid value type for '", name,
                                    "' parameter, expected int64_param, bool_param, or "
                                    "string_param."));
    }
    if (name == "sequence_id") {
      if (const auto* text = std::get_if<std::string_view>(&*value)) {
        request.correlation_text = *text;
      } else {
        RETURN_IF_ERROR(TakeUnsigned(name, *value, request.correlation_id));
      }
    } else if (name == "sequence_start") {
      RETURN_IF_ERROR(TakeBool(name, *value, request.sequence_start));
    } else if (name == "sequence_end") {
      RETURN_IF_ERROR(TakeBool(name, *value, request.sequence_end));
    } else if (name == "priority") {
      RETURN_IF_ERROR(TakeUnsigned(name, *value, request.priority));
    } else if (name == "timeout") {
      RETURN_IF_ERROR(TakeUnsigned(name, *value, request.timeout_us));
    } else if (name == "triton_enable_empty_final_response") {
      continue;  // Means something for streams only.
    } else if (name.starts_with("triton_")) {
      return InvalidArgument(
          "parameter keys starting with 'triton_' are reserved for Triton usage and should not be "
          "specified.");
    } else {
      request.parameters.push_back(FreeParameter(name, *value));
    }
  }
  return {};
}

Status GrpcInferRequest::FillOutputs(InferenceRequest& request, AnswerForm& form) const {
  form.binary = true;
  for (const Output& output : outputs_) {
    AnswerForm::Output wish;
    wish.name = output.name;
    wish.binary = true;
    for (const auto& [name, bytes] : output.parameters) {
      if (name == "shared_memory_region") {
        return Unimplemented(
            Concat("shared memory is not supported yet: output '", output.name, "'"));
      }
      if (name != "classification") continue;
      const std::optional<ParameterValue> value = ReadParameter(bytes);
      const auto* classes = value.has_value() ? std::get_if<int64_t>(&*value) : nullptr;
      if (classes == nullptr || *classes < 0) return WrongType(name, "int64_param");
      wish.classes = static_cast<uint64_t>(*classes);
    }
    request.requested_outputs.push_back(wish.name);
    form.outputs.push_back(std::move(wish));
  }
  std::vector<std::string>& wanted = request.requested_outputs;  // A set, as over HTTP.
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return {};
}

Status GrpcInferRequest::FillInputs(InferenceRequest& request) const {
  size_t raw = 0;
  request.inputs.reserve(inputs_.size());
  for (const Tensor& given : inputs_) {
    InputTensor& input = request.inputs.emplace_back();
    input.name = given.name;
    input.shape = given.shape;
    if (!given.datatype.starts_with("TYPE_")) {
      input.type = DataTypeFromName(given.datatype).value_or(DataType::kInvalid);
    }
    if (given.in_shared_memory) {
      return Unimplemented(Concat("shared memory is not supported yet: input '", given.name, "'"));
    }
    if (given.has_contents) {
      if (!raw_.empty()) {
        return InvalidArgument(
            Concat("contents field must not be specified when using raw_input_contents for '",
                   given.name, "' for model '", model_name_, "'"));
      }
      ASSIGN_OR_RETURN(Buffer data, ReadContents(given, input.type));
      if (!data.empty()) input.data.push_back(std::move(data));
      continue;
    }
    if (raw == raw_.size()) {
      return InvalidArgument(Concat("unable to find data for input tensor '", given.name,
                                    "' for model '", model_name_, "' in request."));
    }
    const std::string_view bytes = raw_[raw++];
    if (!bytes.empty()) {
      const auto offset = static_cast<size_t>(bytes.data() - message_.text().data());
      input.data.push_back(message_.Slice(offset, bytes.size()));
    }
  }
  if (raw != raw_.size()) {
    return InvalidArgument(
        Concat("unexpected additional input data for model '", model_name_, "'"));
  }
  return {};
}

Result<Buffer> GrpcInferRequest::ReadContents(const Tensor& tensor, DataType type) const {
  ByteWriter data(tensor.contents.size());
  ProtoReader reader(tensor.contents);
  while (reader.Next()) {
    if (reader.field() >= std::size(kContentTypes)) {
      reader.Skip();
      continue;
    }
    const DataType list = kContentTypes[reader.field()];
    if (!Travels(type, list)) {
      return InvalidArgument(Concat("unexpected explicit tensor data for input tensor '",
                                    tensor.name, "' for model '", model_name_, "' of type '",
                                    DataTypeName(list), "', expected datatype '",
                                    DataTypeName(type), "'"));
    }
    if (!AppendList(reader, type, data) && reader.ok()) {
      return InvalidArgument(Concat("a value of input '", tensor.name, "' for model '", model_name_,
                                    "' does not fit ", DataTypeName(type)));
    }
  }
  if (!reader.ok()) return Internal("Unable to parse request");
  return data.Take();
}

}  // namespace tepal::kserve
