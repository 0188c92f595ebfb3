#include <unordered_set>
#include <utility>

#include "core/base/text.h"
#include "serving/kserve/request_reader.h"
#include "serving/kserve/tensor_json.h"

namespace tepal::kserve {

void RequestReader::ReadInputs() {
  has_inputs_ = true;
  if (scanner_.Peek() != '[') {
    scanner_.Skip();
    Note(input_problem_, NotA("inputs", "array"));
    return;
  }
  if (!scanner_.EnterArray()) return;
  while (scanner_.NextElement()) {
    if (scanner_.Peek() != '{') {
      scanner_.Skip();
      Note(input_problem_, NotA("inputs", "object"));
      continue;
    }
    InputText input;
    Note(input_problem_, ReadInput(input));
  }
}

Status RequestReader::ReadInput(InputText& input) {
  Status problem;
  if (!scanner_.EnterObject()) return {};
  std::string_view key, text;
  while (scanner_.NextMember(key)) {
    if (key == "name") {
      input.has_name = true;
      Note(problem, TakeString("name", text));
      input.name = text;
    } else if (key == "datatype") {
      input.has_type = true;
      Note(problem, TakeString("datatype", text));
      // Only the protocol's own names: "TYPE_FP32" is the configuration's.
      if (!text.starts_with("TYPE_")) {
        input.type = DataTypeFromName(text).value_or(DataType::kInvalid);
      }
    } else if (key == "shape") {
      ReadShape(input, problem);
    } else if (key == "data") {
      ReadData(input);
    } else if (key == "parameters") {
      ReadInputParameters(input, problem);
    } else {
      scanner_.Skip();
    }
    text = {};
  }
  if (scanner_.failed() || !problem.ok()) return problem;
  return FinishInput(input);
}

void RequestReader::ReadShape(InputText& input, Status& problem) {
  input.has_shape = true;
  if (scanner_.Peek() != '[') {
    scanner_.Skip();
    Note(problem, NotA("shape", "array"));
    return;
  }
  if (!scanner_.EnterArray()) return;
  while (scanner_.NextElement()) {
    uint64_t length = 0;
    Note(problem, TakeUnsigned("shape", length));
    if (length >> 63 != 0) {
      Note(problem, Unparsable("shape", Concat("dimension ", length, " is too large")));
      continue;
    }
    input.shape.push_back(static_cast<int64_t>(length));
  }
}

void RequestReader::ReadData(InputText& input) {
  scanner_.Peek();
  input.data_at = scanner_.Here();
  const std::optional<int64_t> count = ElementCount(input.shape);
  if (input.has_name && input.has_type && input.has_shape && count.has_value() && *count != 0) {
    input.data = ReadTensor(scanner_, input.name, input.type, *count);
    if (input.data->ok() || scanner_.failed()) return;
    scanner_.Return(*input.data_at);
  }
  scanner_.Skip();
}

void RequestReader::ReadInputParameters(InputText& input, Status& problem) {
  if (scanner_.Peek() != '{') {
    scanner_.Skip();
    return;
  }
  if (!scanner_.EnterObject()) return;
  std::string_view key;
  while (scanner_.NextMember(key)) {
    if (key == "binary_data_size") {
      uint64_t size = 0;
      Note(problem, TakeUnsigned("binary_data_size", size));
      input.binary_size = size;
    } else if (!ReadRegion(key, input.region, problem)) {
      scanner_.Skip();
    }
  }
}

bool RequestReader::ReadRegion(std::string_view name, RegionText& region, Status& problem) {
  if (name == "shared_memory_region") {
    std::string_view text;
    Note(problem, TakeString("shared_memory_region", text));
    region.given = true;
    region.name = text;
  } else if (name == "shared_memory_offset") {
    Note(problem, TakeUnsigned("shared_memory_offset", region.offset));
  } else if (name == "shared_memory_byte_size") {
    Note(problem, TakeUnsigned("shared_memory_byte_size", region.size));
  } else {
    return false;
  }
  return true;
}

Result<Buffer> RequestReader::FindRegion(const RegionText& region, std::string_view tensor) {
  if (regions_ == nullptr) {
    return Unimplemented(Concat("'", tensor, "' is in shared memory region '", region.name,
                                "', but this server was started without --allow-client-shm=true"));
  }
  return (*regions_)(region.name, region.offset, region.size);
}

Status RequestReader::FinishInput(InputText& input) {
  const bool has_data = input.data_at.has_value(), has_binary = input.binary_size.has_value();
  const bool has_region = input.region.given;
  if (has_data + has_binary + has_region != 1) {
    std::string problem =
        "Input must set only one of the following fields: 'data', 'binary_data_size' in "
        "'parameters', 'shared_memory_region' in 'parameters'. But";
    const bool none = !has_data && !has_binary && !has_region;
    problem += none ? " no field is set" : " set";
    if (has_data) problem += " 'data'";
    if (has_binary) problem += " 'binary_data_size'";
    if (has_region) problem += " 'shared_memory_region'";
    return InvalidArgument(std::move(problem));
  }
  if (!input.has_name) return NoMember("name");
  if (!input.has_type) return NoMember("datatype");
  if (!input.has_shape) return NoMember("shape");

  InputTensor tensor;
  tensor.name = std::move(input.name);
  tensor.type = input.type;
  tensor.shape = std::move(input.shape);
  if (has_region) {
    ASSIGN_OR_RETURN(Buffer data, FindRegion(input.region, tensor.name));
    // The client can change its memory at any time. Numbers may be whatever they are, but the
    // lengths within strings must stay as they were checked.
    if (tensor.type == DataType::kBytes) {
      Result<Buffer> copy = data.on_gpu() ? HostCopy(data) : Buffer::Copy(data.text());
      ASSIGN_OR_RETURN(data, std::move(copy));
    }
    if (!data.empty()) tensor.data.push_back(std::move(data));
  } else if (has_binary) {
    RETURN_IF_ERROR(TakeBinary(tensor, *input.binary_size));
  } else if (const auto count = ElementCount(tensor.shape); count.has_value() && *count != 0) {
    if (!input.data.has_value()) {
      const JsonScanner::Mark here = scanner_.Here();
      scanner_.Return(*input.data_at);
      input.data = ReadTensor(scanner_, tensor.name, tensor.type, *count);
      scanner_.Return(here);
    }
    ASSIGN_OR_RETURN(Buffer data, std::move(*input.data));
    if (!data.empty()) tensor.data.push_back(std::move(data));
  }
  request_.inputs.push_back(std::move(tensor));
  return {};
}

Status RequestReader::TakeBinary(InputTensor& tensor, uint64_t size) {
  const uint64_t left = body_.size() - binary_at_;
  if (size > left) {
    return InvalidArgument(Concat("unexpected size for input '", tensor.name, "', expecting ",
                                  size - left, " additional bytes for model '", model_.name, "'"));
  }
  if (size != 0) tensor.data.push_back(body_.Slice(binary_at_, size));
  binary_at_ += size;
  return {};
}

Status RequestReader::CheckDuplicates() const {
  constexpr size_t kComparedMax = 16;  // Above, comparing each with each costs more than a set.
  const std::vector<InputTensor>& inputs = request_.inputs;
  const InputTensor* twice = nullptr;
  if (inputs.size() <= kComparedMax) {
    for (size_t i = 1; i < inputs.size() && twice == nullptr; ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (inputs[i].name == inputs[j].name) twice = &inputs[i];
      }
    }
  } else {
    std::unordered_set<std::string_view> names;
    for (const InputTensor& input : inputs) {
      if (!names.insert(input.name).second && twice == nullptr) twice = &input;
    }
  }
  if (twice == nullptr) return {};
  return InvalidArgument(
      Concat(RequestIdPrefix(request_), "input '", twice->name, "' already exists in request"));
}

}  // namespace tepal::kserve
