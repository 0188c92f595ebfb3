#include "network/http/http1_body.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace tepal::http {

namespace {

// A chunk's size with its extensions, which nobody reads.
constexpr size_t kChunkLineBytesMax = 256;

// 1*HEXDIG [ ";" extension ]
std::optional<uint64_t> ParseChunkSize(std::string_view line) {
  const size_t digits = std::min(line.find(';'), line.size());
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + digits, size, 16);
  if (digits == 0 || error != std::errc() || end != line.data() + digits) return std::nullopt;
  for (const char c : line.substr(digits)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return std::nullopt;
  }
  return size;
}

}  // namespace

void Http1BodyReader::BeginLength(uint64_t bytes) {
  trailers_.Clear();
  left_ = bytes;
  state_ = bytes > 0 ? State::kLength : State::kDone;
}

void Http1BodyReader::BeginChunked(uint64_t bytes_max) {
  trailers_.Clear();
  chunks_left_ = bytes_max;
  lines_.Begin(kChunkLineBytesMax);
  state_ = State::kChunkSize;
}

void Http1BodyReader::BeginUntilClose() {
  trailers_.Clear();
  state_ = State::kUntilClose;
}

Http1BodyReader::Outcome Http1BodyReader::Refuse(Refusal refusal) {
  refusal_ = refusal;
  return Outcome::kRefused;
}

Http1BodyReader::Outcome Http1BodyReader::Read(std::string_view& data, BodySink& sink) {
  while (true) {
    std::optional<Outcome> outcome;
    switch (state_) {
      case State::kDone:
        return Outcome::kDone;
      case State::kLength:
      case State::kUntilClose:
      case State::kChunkData:
        if (data.empty()) return Outcome::kMore;
        if (ReadData(data, sink) == Outcome::kPaused) return Outcome::kPaused;
        break;
      case State::kChunkSize:
        outcome = ReadChunkSize(data);
        break;
      case State::kChunkEnd:
        outcome = ReadChunkEnd(data);
        break;
      case State::kTrailers:
        outcome = ReadTrailers(data);
        break;
    }
    if (outcome) return *outcome;
  }
}

Http1BodyReader::Outcome Http1BodyReader::ReadData(std::string_view& data, BodySink& sink) {
  const bool endless = state_ == State::kUntilClose;
  const std::span<std::byte> room = sink.BodyRoom(endless ? 0 : static_cast<size_t>(left_));
  if (room.empty()) return Outcome::kPaused;
  size_t bytes = std::min(room.size(), data.size());
  if (!endless) bytes = static_cast<size_t>(std::min<uint64_t>(bytes, left_));
  std::memcpy(room.data(), data.data(), bytes);
  data.remove_prefix(bytes);
  OnDirect(bytes, sink);
  return Outcome::kMore;
}

uint64_t Http1BodyReader::direct_bytes() const {
  if (state_ == State::kUntilClose) return UINT64_MAX;
  return state_ == State::kLength || state_ == State::kChunkData ? left_ : 0;
}

void Http1BodyReader::OnDirect(size_t bytes, BodySink& sink) {
  if (state_ != State::kUntilClose) {
    left_ -= bytes;
    if (left_ == 0) OnDataEnd();
  }
  sink.OnBody(bytes);
}

void Http1BodyReader::OnDataEnd() {
  state_ = state_ == State::kChunkData ? State::kChunkEnd : State::kDone;
}

std::optional<Http1BodyReader::Outcome> Http1BodyReader::ReadChunkSize(std::string_view& data) {
  std::string_view line;
  switch (lines_.Next(data, line)) {
    case LineReader::Outcome::kMore:
      return Outcome::kMore;
    case LineReader::Outcome::kLine:
      break;
    case LineReader::Outcome::kBareLf:
    case LineReader::Outcome::kTooLong:
      return Refuse({400, "a malformed chunk size"});
  }
  const std::optional<uint64_t> size = ParseChunkSize(line);
  if (!size.has_value()) return Refuse({400, "a malformed chunk size"});
  if (*size > chunks_left_) return Refuse({413, "the request's body is too large"});
  chunks_left_ -= *size;
  left_ = *size;
  state_ = *size > 0 ? State::kChunkData : State::kTrailers;
  if (state_ == State::kTrailers) lines_.Begin(limits_.header_bytes_max);
  return std::nullopt;
}

std::optional<Http1BodyReader::Outcome> Http1BodyReader::ReadChunkEnd(std::string_view& data) {
  if (data.empty()) return Outcome::kMore;
  if (data[0] != '\r' || (data.size() > 1 && data[1] != '\n')) {
    return Refuse({400, "a chunk longer than its size"});
  }
  if (data.size() < 2) return Outcome::kMore;
  data.remove_prefix(2);
  lines_.Begin(kChunkLineBytesMax);
  state_ = State::kChunkSize;
  return std::nullopt;
}

std::optional<Http1BodyReader::Outcome> Http1BodyReader::ReadTrailers(std::string_view& data) {
  std::string_view line;
  switch (lines_.Next(data, line)) {
    case LineReader::Outcome::kMore:
      return Outcome::kMore;
    case LineReader::Outcome::kLine:
      break;
    case LineReader::Outcome::kBareLf:
      return Refuse({400, "a line that ends without CR"});
    case LineReader::Outcome::kTooLong:
      return Refuse({431, "the trailers are too large"});
  }
  if (line.empty()) {
    state_ = State::kDone;
    return std::nullopt;
  }
  if (trailers_.size() >= limits_.header_count_max) {
    return Refuse({431, "there are too many trailers"});
  }
  if (const Refusal refusal = ReadTrailer(line, trailers_)) return Refuse(refusal);
  return std::nullopt;
}

void Http1BodyWriter::Begin(Kind kind, uint64_t length) {
  kind_ = kind;
  length_left_ = length;
  exceeded_ = false;
}

void Http1BodyWriter::Write(BufferList body, OutQueue& out) {
  const size_t size = TotalSize(body);
  if (kind_ == Kind::kNone || size == 0) return;
  if (kind_ == Kind::kLength) {
    if (exceeded_ || size > length_left_) {
      exceeded_ = true;
      return;
    }
    length_left_ -= size;
  }
  if (kind_ == Kind::kChunked) {
    char* begin = out.Reserve(20);
    char* end = std::to_chars(begin, begin + 16, size, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    out.Commit(static_cast<size_t>(end - begin));
  }
  for (Buffer& buffer : body) out.Append(std::move(buffer));
  if (kind_ == Kind::kChunked) out.Append("\r\n");
}

bool Http1BodyWriter::Finish(const Headers* trailers, OutQueue& out) {
  if (kind_ == Kind::kLength) return !exceeded_ && length_left_ == 0;
  if (kind_ == Kind::kChunked) {
    out.Append("0\r\n");
    if (trailers != nullptr) WriteFields(*trailers, out);
    out.Append("\r\n");
  }
  return true;
}

void WriteField(std::string_view name, std::string_view value, OutQueue& out) {
  char* const begin = out.Reserve(name.size() + value.size() + 4);
  char* to = begin;
  bool capital = true;
  for (const char c : name) {
    *to++ = capital && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    capital = c == '-';
  }
  *to++ = ':';
  *to++ = ' ';
  for (const char c : value) *to++ = (c >= 0 && c < 0x20) || c == 0x7f ? ' ' : c;
  *to++ = '\r';
  *to++ = '\n';
  out.Commit(static_cast<size_t>(to - begin));
}

void WriteFields(const Headers& headers, OutQueue& out) {
  for (const Headers::Field field : headers) {
    if (IsFramingField(field.name) || field.name == "host" || !IsToken(field.name)) continue;
    WriteField(field.name, field.value, out);
  }
}

}  // namespace tepal::http
