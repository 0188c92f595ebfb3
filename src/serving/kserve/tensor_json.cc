#include "serving/kserve/tensor_json.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "core/base/text.h"
#include "serving/kserve/shortest_float.h"

namespace tepal::kserve {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors on the wire are little endian");

Status WrongCount() {
  return InvalidArgument("Unable to parse 'data': Shape does not match true shape of 'data' field");
}

Status NotA(std::string_view what, std::string_view wanted) {
  return InvalidArgument(
      Concat("Unable to parse 'data': attempt to access JSON non-", what, " as ", wanted));
}

Status DoesNotFit(std::string_view input, const JsonNumber& number, DataType type) {
  return InvalidArgument(Concat(
      "Unable to parse 'data': value ", number.kind == JsonNumber::Kind::kNegative ? "-" : "",
      number.magnitude, " of input '", input, "' does not fit ", DataTypeName(type)));
}

// Goes through the array, flat or nested, and lets `read` take each element. `read` says false for
// an element it cannot take and sets the reason.
template <typename Read>
bool ForEachElement(JsonScanner& scanner, Read&& read) {
  if (!scanner.EnterArray()) return false;
  for (int open = 1; open > 0;) {
    if (!scanner.NextElement()) {
      if (scanner.failed()) return false;
      --open;
    } else if (const char c = scanner.Peek(); c == '[') {
      if (!scanner.EnterArray()) return false;
      ++open;
    } else if (!read(c)) {
      return false;
    }
  }
  return true;
}

template <typename T>
bool Convert(const JsonNumber& number, T& element) {
  if constexpr (std::is_floating_point_v<T>) {
    element = static_cast<T>(number.value);
    return true;
  } else {
    if (number.kind == JsonNumber::Kind::kReal) return false;
    const bool negative = number.kind == JsonNumber::Kind::kNegative;
    const auto most = static_cast<uint64_t>(std::numeric_limits<T>::max());
    if (number.magnitude > most + (negative ? 1 : 0)) return false;
    if (negative && std::is_unsigned_v<T>) return false;
    element = static_cast<T>(negative ? 0 - number.magnitude : number.magnitude);
    return true;
  }
}

template <typename T>
Status WrongKind(std::string_view input, const JsonNumber* number, DataType type) {
  if constexpr (std::is_floating_point_v<T>) {
    return NotA("number", "double");
  } else {
    const bool integer = number != nullptr && number->kind != JsonNumber::Kind::kReal;
    if (std::is_unsigned_v<T>) {
      if (!integer || number->kind == JsonNumber::Kind::kNegative) {
        return NotA("unsigned-integer", "unsigned-integer");
      }
    } else if (!integer) {
      return NotA("signed-integer", "signed-integer");
    }
    return DoesNotFit(input, *number, type);
  }
}

template <typename T>
Result<Buffer> ReadNumbers(JsonScanner& scanner, std::string_view input, DataType type,
                           size_t count) {
  Buffer data = Buffer::Allocate(count * sizeof(T));
  auto* elements = reinterpret_cast<T*>(data.data());
  size_t filled = 0;
  Status problem;
  const bool read_all = ForEachElement(scanner, [&](char c) {
    JsonNumber number;
    if (filled == count) {
      problem = WrongCount();
    } else if (!JsonScanner::StartsNumber(c)) {
      problem = WrongKind<T>(input, nullptr, type);
    } else if (!scanner.Number(number)) {
      return false;
    } else if (!Convert<T>(number, elements[filled])) {
      problem = WrongKind<T>(input, &number, type);
    } else {
      ++filled;
      return true;
    }
    return false;
  });
  if (scanner.failed()) return scanner.error();
  if (!read_all) return problem;
  if (filled != count) return WrongCount();
  return data;
}

Result<Buffer> ReadBools(JsonScanner& scanner, size_t count) {
  Buffer data = Buffer::Allocate(count);
  size_t filled = 0;
  Status problem;
  const bool read_all = ForEachElement(scanner, [&](char c) {
    bool value = false;
    if (filled == count) {
      problem = WrongCount();
    } else if (c != 't' && c != 'f') {
      problem = NotA("boolean", "boolean");
    } else if (scanner.Bool(value)) {
      data.data()[filled++] = static_cast<std::byte>(value);
      return true;
    }
    return false;
  });
  if (scanner.failed()) return scanner.error();
  if (!read_all) return problem;
  if (filled != count) return WrongCount();
  return data;
}

Result<Buffer> ReadStrings(JsonScanner& scanner, size_t count) {
  constexpr size_t kExpectedBytesMax = 4096;
  ByteWriter data(std::min(scanner.bytes_left() + count * sizeof(uint32_t), kExpectedBytesMax));
  bool strings_only = true;
  const bool read_all = ForEachElement(scanner, [&](char c) {
    strings_only = c == '"';
    std::string_view value;
    if (!strings_only || !scanner.String(value)) return false;
    const auto size = static_cast<uint32_t>(value.size());
    std::memcpy(data.Room(sizeof(size)), &size, sizeof(size));
    data.Commit(sizeof(size));
    data.Append(value);
    return true;
  });
  if (scanner.failed()) return scanner.error();
  if (!read_all) {
    return InvalidArgument(
        "Unable to parse JSON bytes array: attempt to access JSON non-string as string");
  }
  return data.Take();
}

template <typename T>
void AppendReal(ByteWriter& out, T value) {
  constexpr size_t kTextMax = 32;
  // Most tensors hold many whole numbers, and those need no search for the shortest form.
  constexpr T kWholeMax = 1 << 24;
  char* room = out.Room(kTextMax);
  if (std::abs(value) < kWholeMax && value == std::trunc(value) &&
      !(value == 0 && std::signbit(value))) {
    char* end = std::to_chars(room, room + kTextMax, static_cast<int32_t>(value)).ptr;
    *end++ = '.';
    *end++ = '0';
    out.Commit(static_cast<size_t>(end - room));
    return;
  }
  if (!std::isfinite(value)) {
    out.Append(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (const char* end = WriteShortest(room, value); end != nullptr) {
      return out.Commit(static_cast<size_t>(end - room));
    }
  }
  char* end = std::to_chars(room, room + kTextMax, value).ptr;
  if (std::none_of(room, end, [](char c) { return c == '.' || c == 'e'; })) {
    *end++ = '.';
    *end++ = '0';
  }
  out.Commit(static_cast<size_t>(end - room));
}

Status WrongSize(std::string_view output) {
  return Internal(Concat("output tensor shape does not match size of output for '", output, "'"));
}

template <typename T>
Status WriteNumbers(ByteWriter& out, std::string_view output, size_t count, std::string_view data) {
  if (data.size() / sizeof(T) != count || data.size() % sizeof(T) != 0) return WrongSize(output);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    if (i != 0) out.Append(',');
    if constexpr (std::is_floating_point_v<T>) {
      AppendReal(out, value);
    } else {
      out.AppendInteger(value);
    }
  }
  return {};
}

Status WriteBools(ByteWriter& out, std::string_view output, size_t count, std::string_view data) {
  if (data.size() != count) return WrongSize(output);
  for (size_t i = 0; i < count; ++i) {
    if (i != 0) out.Append(',');
    out.Append(data[i] != 0 ? "true" : "false");
  }
  return {};
}

Status WriteStrings(ByteWriter& out, std::string_view output, size_t count, std::string_view data) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t size = 0;
    if (data.size() < sizeof(size)) return WrongSize(output);
    std::memcpy(&size, data.data(), sizeof(size));
    data.remove_prefix(sizeof(size));
    if (data.size() < size) return WrongSize(output);
    if (i != 0) out.Append(',');
    out.AppendString(data.substr(0, size));
    data.remove_prefix(size);
  }
  return {};
}

Status WriteElements(ByteWriter& out, std::string_view output, DataType type, size_t count,
                     std::string_view data) {
  switch (type) {
    case DataType::kBool:
      return WriteBools(out, output, count, data);
    case DataType::kUint8:
      return WriteNumbers<uint8_t>(out, output, count, data);
    case DataType::kUint16:
      return WriteNumbers<uint16_t>(out, output, count, data);
    case DataType::kUint32:
      return WriteNumbers<uint32_t>(out, output, count, data);
    case DataType::kUint64:
      return WriteNumbers<uint64_t>(out, output, count, data);
    case DataType::kInt8:
      return WriteNumbers<int8_t>(out, output, count, data);
    case DataType::kInt16:
      return WriteNumbers<int16_t>(out, output, count, data);
    case DataType::kInt32:
      return WriteNumbers<int32_t>(out, output, count, data);
    case DataType::kInt64:
      return WriteNumbers<int64_t>(out, output, count, data);
    case DataType::kFp32:
      return WriteNumbers<float>(out, output, count, data);
    case DataType::kFp64:
      return WriteNumbers<double>(out, output, count, data);
    case DataType::kBytes:
      return WriteStrings(out, output, count, data);
    case DataType::kFp16:
    case DataType::kBf16:
      return InvalidArgument(Concat("sending ", DataTypeName(type),
                                    " data via JSON is not supported. Please use the binary data "
                                    "format for output"));
    case DataType::kInvalid:
      break;
  }
  return InvalidArgument("Invalid data type for output tensor");
}

}  // namespace

void AppendNumber(ByteWriter& out, double value) { AppendReal(out, value); }

Result<Buffer> ReadTensor(JsonScanner& scanner, std::string_view input, DataType type,
                          int64_t count) {
  if (type == DataType::kInvalid) {
    return InvalidArgument(Concat("invalid datatype for input ", input));
  }
  if (type == DataType::kFp16 || type == DataType::kBf16) {
    return InvalidArgument(Concat("receiving ", DataTypeName(type),
                                  " data via JSON is not supported. Please use the binary data "
                                  "format for input ",
                                  input));
  }
  if (scanner.Peek() != '[') {
    return InvalidArgument("Unable to parse 'data': attempt to access JSON non-array as array");
  }
  const auto elements = static_cast<size_t>(count);
  // Every element takes a character and every one but the last a comma, so a short text cannot make
  // us reserve the memory of a large shape.
  if (type != DataType::kBytes && elements > scanner.bytes_left() / 2) return WrongCount();
  switch (type) {
    case DataType::kBool:
      return ReadBools(scanner, elements);
    case DataType::kUint8:
      return ReadNumbers<uint8_t>(scanner, input, type, elements);
    case DataType::kUint16:
      return ReadNumbers<uint16_t>(scanner, input, type, elements);
    case DataType::kUint32:
      return ReadNumbers<uint32_t>(scanner, input, type, elements);
    case DataType::kUint64:
      return ReadNumbers<uint64_t>(scanner, input, type, elements);
    case DataType::kInt8:
      return ReadNumbers<int8_t>(scanner, input, type, elements);
    case DataType::kInt16:
      return ReadNumbers<int16_t>(scanner, input, type, elements);
    case DataType::kInt32:
      return ReadNumbers<int32_t>(scanner, input, type, elements);
    case DataType::kInt64:
      return ReadNumbers<int64_t>(scanner, input, type, elements);
    case DataType::kFp32:
      return ReadNumbers<float>(scanner, input, type, elements);
    case DataType::kFp64:
      return ReadNumbers<double>(scanner, input, type, elements);
    default:
      return ReadStrings(scanner, elements);
  }
}

Status WriteTensor(ByteWriter& out, std::string_view output, DataType type, size_t count,
                   std::string_view data) {
  out.Append('[');
  RETURN_IF_ERROR(WriteElements(out, output, type, count, data));
  out.Append(']');
  return {};
}

}  // namespace tepal::kserve
