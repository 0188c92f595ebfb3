// Walks over the fields of one protobuf message (https://protobuf.dev/programming-guides/encoding),
// for the hot path: nothing is copied and no message object is made.
//
//   ProtoReader reader(bytes);
//   while (reader.Next()) {
//     if (reader.field() == 1) reader.Bytes(name); else reader.Skip();
//   }
//   if (!reader.ok()) ...
//
// Every field must be read or skipped before the next. A field of another wire type than asked for
// is malformed. Owned by one thread.

#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace tepal::kserve {

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  // Goes to the next field; false at the end and when the message is malformed.
  bool Next() {
    uint64_t tag = 0;
    if (!ok_ || at_ == end_ || !RawVarint(tag)) return false;
    wire_type_ = static_cast<unsigned>(tag & 7);
    field_ = static_cast<uint32_t>(tag >> 3);
    return tag >> 32 == 0 && field_ != 0 ? true : Fail();
  }
  uint32_t field() const { return field_; }
  bool ok() const { return ok_; }

  bool Varint(uint64_t& value) { return wire_type_ == kVarint ? RawVarint(value) : Fail(); }
  bool Bytes(std::string_view& value) { return wire_type_ == kLength ? RawBytes(value) : Fail(); }
  bool Fixed64(uint64_t& value) { return wire_type_ == kFixed64 ? RawFixed(value) : Fail(); }
  bool Skip();

  // A repeated number, packed or not: calls `take` with each element.
  template <typename Take>
  bool Varints(Take&& take) {
    return Repeated(kVarint, [&take](ProtoReader& reader) {
      uint64_t value = 0;
      if (reader.RawVarint(value)) take(value);
    });
  }
  template <typename Fixed, typename Take>  // uint32_t or uint64_t.
  bool Fixeds(Take&& take) {
    return Repeated(sizeof(Fixed) == 4 ? kFixed32 : kFixed64, [&take](ProtoReader& reader) {
      Fixed value = 0;
      if (reader.RawFixed(value)) take(value);
    });
  }

 private:
  enum : unsigned { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

  bool Fail() {
    ok_ = false;
    return false;
  }
  bool RawVarint(uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 70 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return Fail();
  }
  bool RawBytes(std::string_view& value) {
    uint64_t size = 0;
    if (!RawVarint(size) || size > static_cast<uint64_t>(end_ - at_)) return Fail();
    value = {at_, size};
    at_ += size;
    return true;
  }
  template <typename Fixed>
  bool RawFixed(Fixed& value) {
    if (static_cast<size_t>(end_ - at_) < sizeof(value)) return Fail();
    std::memcpy(&value, at_, sizeof(value));
    at_ += sizeof(value);
    return true;
  }
  template <typename One>
  bool Repeated(unsigned element_type, One&& one) {
    if (wire_type_ == element_type) {
      one(*this);
      return ok_;
    }
    std::string_view packed;
    if (wire_type_ != kLength || !RawBytes(packed)) return Fail();
    ProtoReader elements(packed);
    while (elements.ok_ && elements.at_ != elements.end_) one(elements);
    return elements.ok_ ? true : Fail();
  }

  const char* at_;
  const char* end_;
  uint32_t field_ = 0;
  unsigned wire_type_ = 0;
  bool ok_ = true;
};

}  // namespace tepal::kserve
