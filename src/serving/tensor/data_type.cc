#include "serving/tensor/data_type.h"

#include <array>

namespace tepal {
namespace {

struct Facts {
  std::string_view name;
  size_t size;
};

// By the enum's number.
constexpr std::array<Facts, 15> kFacts = {{{"<invalid>", 0},
                                           {"BOOL", 1},
                                           {"UINT8", 1},
                                           {"UINT16", 2},
                                           {"UINT32", 4},
                                           {"UINT64", 8},
                                           {"INT8", 1},
                                           {"INT16", 2},
                                           {"INT32", 4},
                                           {"INT64", 8},
                                           {"FP16", 2},
                                           {"FP32", 4},
                                           {"FP64", 8},
                                           {"BYTES", 0},
                                           {"BF16", 2}}};

constexpr std::string_view kConfigPrefix = "TYPE_";

const Facts& FactsOf(DataType type) {
  const auto index = static_cast<size_t>(type);
  return index < kFacts.size() ? kFacts[index] : kFacts[0];
}

}  // namespace

std::string_view DataTypeName(DataType type) { return FactsOf(type).name; }

size_t DataTypeSize(DataType type) { return FactsOf(type).size; }

std::optional<DataType> DataTypeFromName(std::string_view name) {
  if (name.starts_with(kConfigPrefix)) {
    name.remove_prefix(kConfigPrefix.size());
    // The configuration's word for it; "TYPE_BYTES" does not exist.
    if (name == "STRING") return DataType::kBytes;
    if (name == "BYTES") return std::nullopt;
  }
  for (size_t i = 1; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

}  // namespace tepal
