#include "serving/kserve/proto_reader.h"

namespace tepal::kserve {

bool ProtoReader::Skip() {
  uint64_t number = 0;
  uint32_t small = 0;
  std::string_view bytes;
  switch (wire_type_) {
    case kVarint:
      return RawVarint(number);
    case kFixed64:
      return RawFixed(number);
    case kFixed32:
      return RawFixed(small);
    case kLength:
      return RawBytes(bytes);
    default:
      return Fail();  // Groups, which proto3 does not have.
  }
}

}  // namespace tepal::kserve
