// Between LibTorch's element types and those of the protocol.

#pragma once

#include <c10/core/ScalarType.h>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

struct TorchTypePair {
  at::ScalarType torch;
  TRITONSERVER_DataType ours;
};

inline constexpr TorchTypePair kTorchTypes[] = {
    {at::kBool, TRITONSERVER_TYPE_BOOL},   {at::kByte, TRITONSERVER_TYPE_UINT8},
    {at::kChar, TRITONSERVER_TYPE_INT8},   {at::kShort, TRITONSERVER_TYPE_INT16},
    {at::kInt, TRITONSERVER_TYPE_INT32},   {at::kLong, TRITONSERVER_TYPE_INT64},
    {at::kHalf, TRITONSERVER_TYPE_FP16},   {at::kFloat, TRITONSERVER_TYPE_FP32},
    {at::kDouble, TRITONSERVER_TYPE_FP64}, {at::kBFloat16, TRITONSERVER_TYPE_BF16},
};

inline TRITONSERVER_DataType DataTypeOf(at::ScalarType type) {
  for (const TorchTypePair& pair : kTorchTypes) {
    if (pair.torch == type) return pair.ours;
  }
  return TRITONSERVER_TYPE_INVALID;
}

// Undefined for what LibTorch has no type for (unsigned ones above 8 bits).
inline at::ScalarType ScalarTypeOf(TRITONSERVER_DataType type) {
  for (const TorchTypePair& pair : kTorchTypes) {
    if (pair.ours == type) return pair.torch;
  }
  return at::ScalarType::Undefined;
}

}  // namespace tepal_plugin
