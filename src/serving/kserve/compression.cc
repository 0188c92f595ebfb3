#include "serving/kserve/compression.h"

#include <zlib.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"

namespace tepal::kserve {
namespace {

constexpr int kWindowBits = 15;
constexpr int kGzipFrame = 16;    // Added to the window bits: a gzip header, not zlib's.
constexpr int kDetectFrame = 32;  // Either header.
constexpr size_t kStepBytes = 64 * 1024;
constexpr size_t kStepBytesMax = 1u << 30;  // zlib counts in 32 bits.

Bytef* Bytes(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

double WeightOf(std::string_view parameters) {
  const size_t at = parameters.find("q=");
  if (at == std::string_view::npos) return 1;
  return ParseNumber<double>(Trim(parameters.substr(at + 2))).value_or(0);
}

}  // namespace

std::string_view EncodingName(Encoding encoding) {
  switch (encoding) {
    case Encoding::kGzip:
      return "gzip";
    case Encoding::kDeflate:
      return "deflate";
    case Encoding::kIdentity:
      break;
  }
  return {};
}

std::optional<Encoding> ContentEncoding(std::string_view header) {
  const std::string_view name = Trim(header);
  if (name.empty() || EqualsIgnoreCase(name, "identity")) return Encoding::kIdentity;
  if (EqualsIgnoreCase(name, "gzip")) return Encoding::kGzip;
  if (EqualsIgnoreCase(name, "deflate")) return Encoding::kDeflate;
  return std::nullopt;
}

Encoding AcceptedEncoding(std::string_view header) {
  Encoding best = Encoding::kIdentity;
  double best_weight = 0;
  for (const std::string_view item : Split(header, ',')) {
    const size_t semicolon = item.find(';');
    const std::string_view name = Trim(item.substr(0, semicolon));
    if (name.empty()) continue;
    const std::optional<Encoding> encoding = ContentEncoding(name);
    const double weight =
        semicolon == std::string_view::npos ? 1 : WeightOf(item.substr(semicolon + 1));
    if (encoding.has_value() && weight > best_weight) {
      best = *encoding;
      best_weight = weight;
    }
  }
  return best;
}

Result<Buffer> Decompress(Encoding encoding, std::string_view compressed, size_t size_max) {
  z_stream stream{};
  TEPAL_CHECK(inflateInit2(&stream, kWindowBits + kDetectFrame) == Z_OK);
  ByteWriter out(std::min(size_max, std::max<size_t>(kStepBytes, compressed.size() * 4)));
  int result = Z_OK;
  Status problem;
  while (result == Z_OK && problem.ok()) {
    if (stream.avail_in == 0) {
      const size_t step = std::min(compressed.size(), kStepBytesMax);
      stream.next_in = Bytes(compressed);
      stream.avail_in = static_cast<uInt>(step);
      compressed.remove_prefix(step);
    }
    // One byte more than is allowed, to tell "exactly the limit" from "over it".
    const size_t room = std::min(kStepBytes, size_max + 1 - out.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.Room(room));
    stream.avail_out = static_cast<uInt>(room);
    result = inflate(&stream, Z_NO_FLUSH);
    out.Commit(room - stream.avail_out);
    if (out.size() > size_max) {
      problem = ResourceExhausted(
          Concat("decompressed request body exceeds the limit of ", size_max, " bytes"));
    }
  }
  const std::string detail = stream.msg == nullptr ? "the data stops short" : stream.msg;
  const size_t trailing = stream.avail_in + compressed.size();
  inflateEnd(&stream);
  RETURN_IF_ERROR(std::move(problem));
  if (result != Z_STREAM_END || trailing != 0) {
    return InvalidArgument(Concat(
        "request body is not valid ", EncodingName(encoding),
        " data: ", result == Z_STREAM_END ? Concat(trailing, " bytes follow its end") : detail));
  }
  return out.Take();
}

Buffer Compress(Encoding encoding, const BufferList& pieces) {
  z_stream stream{};
  const int window_bits = encoding == Encoding::kGzip ? kWindowBits + kGzipFrame : kWindowBits;
  constexpr int kMemoryLevel = 8;
  TEPAL_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits, kMemoryLevel,
                           Z_DEFAULT_STRATEGY) == Z_OK);
  ByteWriter out(std::max<size_t>(TotalSize(pieces) / 4, 1024));
  const auto deflate_some = [&](int flush) {
    int result = Z_OK;
    do {
      constexpr size_t kRoom = 16 * 1024;
      stream.next_out = reinterpret_cast<Bytef*>(out.Room(kRoom));
      stream.avail_out = kRoom;
      result = deflate(&stream, flush);
      out.Commit(kRoom - stream.avail_out);
    } while (stream.avail_out == 0 && result != Z_STREAM_END);
  };
  for (const Buffer& piece : pieces) {
    std::string_view left = piece.text();
    while (!left.empty()) {
      const size_t step = std::min(left.size(), kStepBytesMax);
      stream.next_in = Bytes(left);
      stream.avail_in = static_cast<uInt>(step);
      left.remove_prefix(step);
      deflate_some(Z_NO_FLUSH);
    }
  }
  deflate_some(Z_FINISH);
  deflateEnd(&stream);
  return out.Take();
}

}  // namespace tepal::kserve
