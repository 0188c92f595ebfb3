#include "network/http/compression.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/base/text.h"
#include "network/http/status_map.h"

namespace tepal::http {
namespace {

constexpr int kWindowBits = 15;
constexpr int kGzipFrame = 16;    // Added to the window bits: a gzip header, not zlib's.
constexpr int kDetectFrame = 32;  // Either header.
constexpr size_t kPieceBytes = 64 * 1024;
constexpr size_t kStepBytesMax = 1u << 30;  // zlib counts in 32 bits.

Bytef* Bytes(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

// What inflate has made so far; grows by doubling up to one byte more than is allowed, to tell
// "exactly the limit" from "over it".
class Inflated {
 public:
  Inflated(size_t size_expected, size_t size_max, Budget* budget)
      : size_max_(size_max),
        budget_(budget),
        buffer_(Allocate(std::min(size_expected, size_max) + 1)) {}

  // False: the budget has no more memory.
  bool Offer(z_stream& stream) {
    if (used_ == buffer_.size() && (buffer_.empty() || !Grow())) return false;
    offered_ = std::min(buffer_.size() - used_, kStepBytesMax);
    stream.next_out = reinterpret_cast<Bytef*>(buffer_.data() + used_);
    stream.avail_out = static_cast<uInt>(offered_);
    return true;
  }
  void Commit(const z_stream& stream) { used_ += offered_ - stream.avail_out; }
  bool too_large() const { return used_ > size_max_; }

  Buffer Take() {
    buffer_.Truncate(used_);
    return std::move(buffer_);
  }

 private:
  Buffer Allocate(size_t size) const {
    return budget_ == nullptr ? Buffer::Allocate(size) : Buffer::TryAllocate(size, *budget_);
  }
  bool Grow() {
    const size_t more = std::max(buffer_.size(), kPieceBytes);
    Buffer larger = Allocate(std::min(size_max_ + 1, buffer_.size() + more));
    if (larger.empty()) return false;
    std::memcpy(larger.data(), buffer_.data(), used_);
    buffer_ = std::move(larger);
    return true;
  }

  const size_t size_max_;
  Budget* const budget_;
  Buffer buffer_;
  size_t used_ = 0;
  size_t offered_ = 0;
};

// A gzip member ends with its size. It is the peer's word: believed only while it is
// plausible, so that a few bytes cannot make us take much memory.
size_t SizeExpected(std::string_view compressed) {
  constexpr size_t kRatioUsual = 4;
  constexpr size_t kRatioBelieved = 32;
  size_t size = 0;
  for (size_t i = 1; i <= 4 && i <= compressed.size(); ++i) {
    size = size << 8 | static_cast<unsigned char>(compressed[compressed.size() - i]);
  }
  const bool is_gzip = compressed.size() > 18 && compressed.starts_with("\x1f\x8b");
  if (is_gzip && size <= compressed.size() * kRatioBelieved) return size;
  return compressed.size() * kRatioUsual;
}

int LevelOf(Effort effort) {
  switch (effort) {
    case Effort::kLow:
      return Z_BEST_SPEED;
    case Effort::kHigh:
      return Z_BEST_COMPRESSION;
    case Effort::kMedium:
      break;
  }
  return Z_DEFAULT_COMPRESSION;
}

// Deflate's output, piece by piece.
class Deflated {
 public:
  void Run(z_stream& stream, int flush) {
    int result = Z_OK;
    do {
      if (used_ == piece_.size()) Next();
      stream.next_out = reinterpret_cast<Bytef*>(piece_.data() + used_);
      stream.avail_out = static_cast<uInt>(piece_.size() - used_);
      result = deflate(&stream, flush);
      used_ = piece_.size() - stream.avail_out;
    } while (stream.avail_out == 0 && result != Z_STREAM_END);
  }
  BufferList Take() {
    if (used_ > 0) pieces_.push_back(piece_.Slice(0, used_));
    return std::move(pieces_);
  }

 private:
  void Next() {
    if (used_ > 0) pieces_.push_back(piece_.Slice(0, used_));
    piece_ = Buffer::Allocate(pieces_.empty() ? kFirstBytes : kPieceBytes);
    used_ = 0;
  }
  static constexpr size_t kFirstBytes = 4096;
  BufferList pieces_;
  Buffer piece_;
  size_t used_ = 0;
};

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

Result<Buffer> Decompress(Encoding encoding, std::string_view compressed, size_t size_max,
                          Budget* budget) {
  z_stream stream{};
  TEPAL_CHECK(inflateInit2(&stream, kWindowBits + kDetectFrame) == Z_OK);
  Inflated out(SizeExpected(compressed), size_max, budget);
  int result = Z_OK;
  bool starved = false;
  while (result == Z_OK && !out.too_large()) {
    if (stream.avail_in == 0) {
      const size_t step = std::min(compressed.size(), kStepBytesMax);
      stream.next_in = Bytes(compressed);
      stream.avail_in = static_cast<uInt>(step);
      compressed.remove_prefix(step);
    }
    starved = !out.Offer(stream);
    if (starved) break;
    result = inflate(&stream, Z_NO_FLUSH);
    out.Commit(stream);
  }
  const std::string detail = stream.msg == nullptr ? "the data stops short" : stream.msg;
  const size_t trailing = stream.avail_in + compressed.size();
  inflateEnd(&stream);
  if (starved) {
    budget->CountRefusal();
    return Unavailable(NoMemoryForBody().message());
  }
  if (out.too_large()) {
    return ResourceExhausted(Concat("decompressed body exceeds the limit of ", size_max, " bytes"));
  }
  if (result != Z_STREAM_END || trailing != 0) {
    return InvalidArgument(Concat(
        "body is not valid ", EncodingName(encoding),
        " data: ", result == Z_STREAM_END ? Concat(trailing, " bytes follow its end") : detail));
  }
  return out.Take();
}

BufferList Compress(Encoding encoding, const BufferList& pieces, Effort effort) {
  z_stream stream{};
  const int window_bits = encoding == Encoding::kGzip ? kWindowBits + kGzipFrame : kWindowBits;
  constexpr int kMemoryLevel = 8;
  TEPAL_CHECK(deflateInit2(&stream, LevelOf(effort), Z_DEFLATED, window_bits, kMemoryLevel,
                           Z_DEFAULT_STRATEGY) == Z_OK);
  Deflated out;
  for (const Buffer& piece : pieces) {
    std::string_view left = piece.text();
    while (!left.empty()) {
      const size_t step = std::min(left.size(), kStepBytesMax);
      stream.next_in = Bytes(left);
      stream.avail_in = static_cast<uInt>(step);
      left.remove_prefix(step);
      out.Run(stream, Z_NO_FLUSH);
    }
  }
  out.Run(stream, Z_FINISH);
  deflateEnd(&stream);
  return out.Take();
}

}  // namespace tepal::http
