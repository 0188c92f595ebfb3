// Compressed bodies: the gzip and deflate of HTTP, in and out.

#pragma once

#include <optional>
#include <string_view>

#include "core/base/result.h"
#include "core/buffer/buffer.h"

namespace tepal::kserve {

enum class Encoding { kIdentity, kGzip, kDeflate };

// "gzip", "deflate"; empty for the identity.
std::string_view EncodingName(Encoding encoding);

// What Content-Encoding names; empty when we do not know it.
std::optional<Encoding> ContentEncoding(std::string_view header);

// The one we prefer among those Accept-Encoding lists: the heaviest, the first of equals.
Encoding AcceptedEncoding(std::string_view header);

// kInvalidArgument for bytes that are not compressed that way or stop short; kResourceExhausted
// when more than `size_max` bytes would come out.
Result<Buffer> Decompress(Encoding encoding, std::string_view compressed, size_t size_max);

Buffer Compress(Encoding encoding, const BufferList& pieces);

}  // namespace tepal::kserve
