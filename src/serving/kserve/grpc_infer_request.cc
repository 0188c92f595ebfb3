#include <algorithm>
#include <optional>

#include "core/base/text.h"
#include "serving/kserve/grpc_infer.h"
#include "serving/kserve/grpc_tensor_contents.h"
#include "serving/kserve/proto_reader.h"

namespace tepal::kserve {

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
      case 4:
        if (!reader.Bytes(entry) || !ParseParameterEntry(entry, tensor.parameters)) return false;
        break;
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
      if (!reader.Bytes(entry) || !ParseParameterEntry(entry, output.parameters)) return false;
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
        good = reader.Bytes(bytes) && ParseParameterEntry(bytes, parsed.parameters_);
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

Status GrpcInferRequest::Fill(InferenceRequest& request, AnswerForm& form,
                              RegionMemory* regions) const {
  request.id = id_;
  RETURN_IF_ERROR(ReadRequestParameters(parameters_, request));
  RETURN_IF_ERROR(FillOutputs(request, form, regions));
  return FillInputs(request, regions);
}

Status GrpcInferRequest::ReadClasses(const Output& output, uint64_t& classes) {
  for (const auto& [name, bytes] : output.parameters) {
    if (name != "classification") continue;
    const std::optional<ParameterValue> value = ReadParameter(bytes);
    const auto* given = value.has_value() ? std::get_if<int64_t>(&*value) : nullptr;
    if (given == nullptr) {
      return InvalidArgument(
          "invalid value type for 'classification' parameter, expected int64_param");
    }
    if (*given <= 0) {
      return InvalidArgument("invalid value for 'classification' parameter, expected >= 0");
    }
    classes = static_cast<uint64_t>(*given);
  }
  return {};
}

Status GrpcInferRequest::FillOutputs(InferenceRequest& request, AnswerForm& form,
                                     RegionMemory* regions) const {
  form.binary = true;
  for (const Output& output : outputs_) {
    AnswerForm::Output wish;
    wish.name = output.name;
    wish.binary = true;
    RETURN_IF_ERROR(ReadClasses(output, wish.classes));
    ASSIGN_OR_RETURN(const auto place, ReadRegionPlace(output.parameters, output.name));
    if (place.has_value()) {
      if (wish.classes > 0) {
        return InvalidArgument("output can't set both 'shared_memory_region' and 'classification'");
      }
      ASSIGN_OR_RETURN(wish.region, MemoryAt(*place, output.name, regions));
      wish.in_region = true;
    }
    request.requested_outputs.push_back(wish.name);
    form.outputs.push_back(std::move(wish));
  }
  std::vector<std::string>& wanted = request.requested_outputs;  // A set, as over HTTP.
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return {};
}

Status GrpcInferRequest::FillInputs(InferenceRequest& request, RegionMemory* regions) const {
  size_t raw = 0;  // More of them than inputs that need one mean nothing, as with Triton.
  request.inputs.reserve(inputs_.size());
  for (const Tensor& given : inputs_) {
    InputTensor& input = request.inputs.emplace_back();
    input.name = given.name;
    input.shape = given.shape;
    if (!given.datatype.starts_with("TYPE_")) {
      input.type = DataTypeFromName(given.datatype).value_or(DataType::kInvalid);
    }
    ASSIGN_OR_RETURN(Buffer data, FindData(given, input.type, raw, regions));
    if (!data.empty()) input.data.push_back(std::move(data));
  }
  return {};
}

Result<Buffer> GrpcInferRequest::FindData(const Tensor& given, DataType type, size_t& raw,
                                          RegionMemory* regions) const {
  ASSIGN_OR_RETURN(const auto place, ReadRegionPlace(given.parameters, given.name));
  if (place.has_value()) {
    if (given.has_contents) {
      return InvalidArgument(
          Concat("unexpected 'content' provided when using shared memory for input tensor '",
                 given.name, "' for model '", model_name_, "'"));
    }
    ASSIGN_OR_RETURN(Buffer data, MemoryAt(*place, given.name, regions));
    if (type != DataType::kBytes) return data;
    if (data.on_gpu()) {
      return Unimplemented(
          Concat("BYTES in CUDA shared memory are not supported yet: input '", given.name, "'"));
    }
    // The client can change its memory at any time. Numbers may be whatever they are, but the
    // lengths within strings must stay as they were checked.
    return Buffer::Copy(data.text());
  }
  if (given.has_contents) {
    if (!raw_.empty()) {
      return InvalidArgument(
          Concat("contents field must not be specified when using raw_input_contents for '",
                 given.name, "' for model '", model_name_, "'"));
    }
    return ReadTensorContents(given.contents, type, given.name, model_name_);
  }
  if (raw == raw_.size()) {
    return InvalidArgument(Concat("unable to find data for input tensor '", given.name,
                                  "' for model '", model_name_, "' in request."));
  }
  const std::string_view bytes = raw_[raw++];
  if (bytes.empty()) return Buffer();
  const auto offset = static_cast<size_t>(bytes.data() - message_.text().data());
  return message_.Slice(offset, bytes.size());
}

}  // namespace tepal::kserve
