#include "serving/kserve/grpc_tensor_contents.h"

#include <type_traits>

#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"
#include "serving/kserve/proto_reader.h"

namespace tepal::kserve {
namespace {

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

Result<Buffer> ReadTensorContents(std::string_view contents, DataType type, std::string_view tensor,
                                  std::string_view model) {
  ByteWriter data(contents.size());
  ProtoReader reader(contents);
  while (reader.Next()) {
    if (reader.field() >= std::size(kContentTypes)) {
      reader.Skip();
      continue;
    }
    const DataType list = kContentTypes[reader.field()];
    if (!Travels(type, list)) {
      return InvalidArgument(Concat("unexpected explicit tensor data for input tensor '", tensor,
                                    "' for model '", model, "' of type '", DataTypeName(list),
                                    "', expected datatype '", DataTypeName(type), "'"));
    }
    if (!AppendList(reader, type, data) && reader.ok()) {
      return InvalidArgument(Concat("a value of input '", tensor, "' for model '", model,
                                    "' does not fit ", DataTypeName(type)));
    }
  }
  if (!reader.ok()) return Internal("Unable to parse request");
  return data.Take();
}

}  // namespace tepal::kserve
