// The element types of the v2 protocol, with their names and sizes.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tepal {

// Numbered as in the wire contract (model_config.proto, TRITONSERVER_DataType).
enum class DataType : int {
  kInvalid = 0,
  kBool = 1,
  kUint8 = 2,
  kUint16 = 3,
  kUint32 = 4,
  kUint64 = 5,
  kInt8 = 6,
  kInt16 = 7,
  kInt32 = 8,
  kInt64 = 9,
  kFp16 = 10,
  kFp32 = 11,
  kFp64 = 12,
  kBytes = 13,
  kBf16 = 14,
};

// "FP32"; "<invalid>" for kInvalid.
std::string_view DataTypeName(DataType type);

// From the protocol's name ("FP32") or the configuration's ("TYPE_FP32", "TYPE_STRING").
std::optional<DataType> DataTypeFromName(std::string_view name);

// Bytes of one element; 0 for kBytes (each element has its own length) and kInvalid.
size_t DataTypeSize(DataType type);

}  // namespace tepal
