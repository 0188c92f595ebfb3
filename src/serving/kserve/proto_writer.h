// Appends the fields of a protobuf message to a ByteWriter. Fields that hold their default are the
// caller's to leave out.

#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "serving/kserve/byte_writer.h"

namespace tepal::kserve {

class ProtoWriter {
 public:
  explicit ProtoWriter(ByteWriter& out) : out_(out) {}

  void Varint(uint32_t field, uint64_t value) {
    Raw(field << 3 | kVarint);
    Raw(value);
  }
  void Int(uint32_t field, int64_t value) { Varint(field, static_cast<uint64_t>(value)); }
  void Bool(uint32_t field, bool value) { Varint(field, value ? 1 : 0); }
  void Double(uint32_t field, double value) {
    Raw(field << 3 | kFixed64);
    const auto bits = std::bit_cast<uint64_t>(value);
    out_.Append({reinterpret_cast<const char*>(&bits), sizeof(bits)});
  }
  void Bytes(uint32_t field, std::string_view value) {
    LengthOf(field, value.size());
    out_.Append(value);
  }
  // Left out when empty, as proto3 has it.
  void Text(uint32_t field, std::string_view value) {
    if (!value.empty()) Bytes(field, value);
  }
  // Only the tag and the length: `size` bytes follow from elsewhere.
  void LengthOf(uint32_t field, uint64_t size) {
    Raw(field << 3 | kLength);
    Raw(size);
  }
  // A message that `fill` writes.
  template <typename Fill>
  void Message(uint32_t field, Fill&& fill) {
    constexpr size_t kExpected = 128;
    ByteWriter inner(kExpected);
    ProtoWriter writer(inner);
    fill(writer);
    Bytes(field, inner.Take().text());
  }

  static size_t VarintSize(uint64_t value) {
    return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
  }

  void Raw(uint64_t value) {
    char* room = out_.Room(kVarintMax);
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) room[size++] = static_cast<char>(value | 0x80);
    room[size++] = static_cast<char>(value);
    out_.Commit(size);
  }

 private:
  enum : unsigned { kVarint = 0, kFixed64 = 1, kLength = 2 };
  static constexpr size_t kVarintMax = 10;
  ByteWriter& out_;
};

}  // namespace tepal::kserve
