// Compressed bodies and messages: the gzip and deflate of HTTP and of gRPC, in and out.
//
// Both are whole: a Decompress or Compress runs to its end, on the thread that calls it, and keeps
// nothing between calls.

#pragma once

#include <optional>
#include <string_view>

#include "core/base/result.h"
#include "core/buffer/buffer.h"

namespace tepal::http {

enum class Encoding { kIdentity, kGzip, kDeflate };

// "gzip", "deflate"; empty for the identity.
std::string_view EncodingName(Encoding encoding);

// What Content-Encoding names; empty when we do not know it.
std::optional<Encoding> ContentEncoding(std::string_view header);

// The one we prefer among those Accept-Encoding lists: the heaviest, the first of equals.
Encoding AcceptedEncoding(std::string_view header);

// kInvalidArgument for bytes that are not compressed that way, stop short or go on after their end;
// kResourceExhausted when more than `size_max` bytes would come out. What comes out takes no more
// memory than twice its size, whatever the compressed bytes promise. With a budget the memory is
// taken from it; kUnavailable when it has none left, which it counts as a refusal.
Result<Buffer> Decompress(Encoding encoding, std::string_view compressed, size_t size_max,
                          Budget* budget = nullptr);

// How much work to put into making it small.
enum class Effort { kLow, kMedium, kHigh };

BufferList Compress(Encoding encoding, const BufferList& pieces, Effort effort = Effort::kMedium);

}  // namespace tepal::http
