#include "serving/kserve/grpc_parameter.h"

#include <bit>
#include <string>
#include <type_traits>

#include "core/base/text.h"
#include "serving/kserve/proto_reader.h"

namespace tepal::kserve {
namespace {

Status WrongType(std::string_view name, std::string_view expected) {
  return InvalidArgument(
      Concat("invalid value type for '", name, "' parameter, expected ", expected, "."));
}

Status TakeBool(std::string_view name, const ParameterValue& value, bool& into) {
  if (const bool* given = std::get_if<bool>(&value)) {
    into = *given;
    return {};
  }
  return WrongType(name, "bool_param");
}

// Triton takes negative numbers for large ones; here they are refused.
Status TakeSigned(std::string_view name, int64_t value, uint64_t& into) {
  if (value < 0) {
    return InvalidArgument(Concat("invalid value for '", name, "', expected value >= 0."));
  }
  into = static_cast<uint64_t>(value);
  return {};
}

Status TakeSequenceId(const ParameterValue& value, InferenceRequest& request) {
  constexpr std::string_view kName = "sequence_id";
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    request.correlation_text = *text;
    return {};
  }
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr) return WrongType(kName, "int64_param or string_param");
  return TakeSigned(kName, *number, request.correlation_id);
}

Status TakePriority(const ParameterValue& value, InferenceRequest& request) {
  constexpr std::string_view kName = "priority";
  if (const auto* large = std::get_if<uint64_t>(&value)) {
    request.priority = *large;
    return {};
  }
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr) return WrongType(kName, "int64_param or uint64_param");
  return TakeSigned(kName, *number, request.priority);
}

Status TakeTimeout(const ParameterValue& value, InferenceRequest& request) {
  constexpr std::string_view kName = "timeout";
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr) return WrongType(kName, "int64_param");
  return TakeSigned(kName, *number, request.timeout_us);
}

Status NoParameter(std::string_view name) {
  return WrongType(name, "int64_param, bool_param, or string_param");
}

Status TakeFree(std::string_view name, const ParameterValue& value, InferenceRequest& request) {
  if (std::holds_alternative<uint64_t>(value)) return NoParameter(name);
  Parameter& parameter = request.parameters.emplace_back(Parameter{std::string(name), false});
  std::visit(
      [&parameter](const auto& given) {
        using Value = std::decay_t<decltype(given)>;
        if constexpr (std::is_same_v<Value, std::string_view>) {
          parameter.value = std::string(given);
        } else if constexpr (!std::is_same_v<Value, uint64_t>) {
          parameter.value = given;
        }
      },
      value);
  return {};
}

Status TakeRequestParameter(std::string_view name, const ParameterValue& value,
                            InferenceRequest& request) {
  constexpr std::string_view kFinal = "triton_enable_empty_final_response";
  if (name == "sequence_id") return TakeSequenceId(value, request);
  if (name == "sequence_start") return TakeBool(name, value, request.sequence_start);
  if (name == "sequence_end") return TakeBool(name, value, request.sequence_end);
  if (name == "priority") return TakePriority(value, request);
  if (name == "timeout") return TakeTimeout(value, request);
  if (name == kFinal) {  // Means nothing where every request has one answer.
    bool wanted = false;
    return TakeBool(name, value, wanted);
  }
  if (name.starts_with("triton_")) {
    return InvalidArgument(
        Concat("parameter keys starting with 'triton_' are reserved for Triton usage. Only the "
               "following keys starting with 'triton_' are allowed: ",
               kFinal));
  }
  return TakeFree(name, value, request);
}

Status WrongPlaceType(std::string_view name, std::string_view tensor, std::string_view expected) {
  return InvalidArgument(Concat("invalid value type for '", name, "' parameter for tensor '",
                                tensor, "', expected ", expected, "."));
}

// `number` of the parameter `name`, negative ones as the large ones they are on the wire.
Status TakePlaceNumber(std::string_view name, std::string_view bytes, std::string_view tensor,
                       uint64_t& number) {
  const std::optional<ParameterValue> value = ReadParameter(bytes);
  const auto* given = value.has_value() ? std::get_if<int64_t>(&*value) : nullptr;
  if (given == nullptr) return WrongPlaceType(name, tensor, "int64_param");
  number = static_cast<uint64_t>(*given);
  return {};
}

// The last one counts, as with any map of protobuf.
const std::string_view* Find(const ParameterMap& map, std::string_view name) {
  const std::string_view* found = nullptr;
  for (const auto& [key, bytes] : map) {
    if (key == name) found = &bytes;
  }
  return found;
}

}  // namespace

bool ParseParameterEntry(std::string_view bytes, ParameterMap& map) {
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

Status ReadRequestParameters(const ParameterMap& map, InferenceRequest& request) {
  for (const auto& [name, bytes] : map) {
    const std::optional<ParameterValue> value = ReadParameter(bytes);
    if (!value.has_value()) return NoParameter(name);
    RETURN_IF_ERROR(TakeRequestParameter(name, *value, request));
  }
  return {};
}

Result<std::optional<RegionPlace>> ReadRegionPlace(const ParameterMap& map,
                                                   std::string_view tensor) {
  constexpr std::string_view kRegion = "shared_memory_region", kOffset = "shared_memory_offset",
                             kSize = "shared_memory_byte_size";
  if (map.empty()) return std::optional<RegionPlace>();
  const std::string_view* region = Find(map, kRegion);
  const std::string_view* offset = Find(map, kOffset);
  const std::string_view* size = Find(map, kSize);
  if (region == nullptr) {
    if (offset == nullptr && size == nullptr) return std::optional<RegionPlace>();
    return InvalidArgument(Concat("'", offset != nullptr ? kOffset : kSize,
                                  "' can not be specified without '", kRegion,
                                  "' parameter for tensor '", tensor, "'"));
  }
  RegionPlace place;
  const std::optional<ParameterValue> name = ReadParameter(*region);
  const auto* text = name.has_value() ? std::get_if<std::string_view>(&*name) : nullptr;
  if (text == nullptr) return WrongPlaceType(kRegion, tensor, "string_param");
  place.region = *text;
  if (offset != nullptr) RETURN_IF_ERROR(TakePlaceNumber(kOffset, *offset, tensor, place.offset));
  if (size == nullptr) {
    return InvalidArgument(Concat("'", kSize, "' must be specified along with '", kRegion,
                                  "' parameter for tensor '", tensor, "'"));
  }
  RETURN_IF_ERROR(TakePlaceNumber(kSize, *size, tensor, place.size));
  return std::optional<RegionPlace>(place);
}

Result<Buffer> MemoryAt(const RegionPlace& place, std::string_view tensor, RegionMemory* regions) {
  if (regions == nullptr) {
    return Unimplemented(Concat("'", tensor, "' is in shared memory region '", place.region,
                                "', but this server was started without --allow-client-shm=true"));
  }
  return (*regions)(place.region, place.offset, place.size);
}

}  // namespace tepal::kserve
