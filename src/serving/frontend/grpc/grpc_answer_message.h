// Small answers of unary calls, written as their protobuf message.

#pragma once

#include "core/base/status.h"
#include "core/buffer/buffer.h"
#include "serving/kserve/proto_writer.h"

namespace tepal {

// What `fill` writes with a kserve::ProtoWriter.
template <typename Fill>
Buffer AnswerMessage(Fill&& fill) {
  constexpr size_t kBytesExpected = 256;
  kserve::ByteWriter bytes(kBytesExpected);
  kserve::ProtoWriter out(bytes);
  fill(out);
  return bytes.Take();
}

// An entry of a map<string, Message> that `fill` writes.
template <typename Fill>
void AddMapEntry(kserve::ProtoWriter& out, uint32_t field, std::string_view key, Fill&& fill) {
  out.Message(field, [&](kserve::ProtoWriter& entry) {
    entry.Text(1, key);
    entry.Message(2, fill);
  });
}

// For a request that is no message of its kind, as gRPC servers say it.
inline Status UnparsableRequest() { return Internal("Unable to parse request"); }

// Of calls that would go on for ever.
inline Status ServerDrains() { return Unavailable("the server is shutting down"); }

// Triton's repositories have no names.
inline Status NoRepositoryName() {
  return Unimplemented("'repository_name' specification is not supported");
}

}  // namespace tepal
