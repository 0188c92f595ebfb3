// Bodies of HTTP/1.1 messages (RFC 9112 section 6), read and written.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "network/http/http1_head.h"
#include "network/http/out_queue.h"
#include "network/http/stream.h"

namespace tepal::http {

// Takes a body apart and copies it to its sink, or says where a large part can be read to directly.
class Http1BodyReader {
 public:
  explicit Http1BodyReader(const Limits& limits) : limits_(limits) {}

  void BeginLength(uint64_t bytes);
  void BeginChunked(uint64_t bytes_max);
  void BeginUntilClose();

  enum class Outcome {
    kMore,     // All of `data` was taken; the body goes on.
    kPaused,   // The sink has no room now.
    kDone,     // The body is complete; `data` holds what follows it.
    kRefused,  // See refusal().
  };
  // Takes bytes off the front of `data`.
  Outcome Read(std::string_view& data, BodySink& sink);

  // How many bytes can be read straight into the sink's memory: of the rest of a body of known
  // length or of a chunk. 0 when the next bytes must be looked at first.
  uint64_t direct_bytes() const;
  // `bytes` went straight into the sink's room, no more than direct_bytes().
  void OnDirect(size_t bytes, BodySink& sink);

  bool until_close() const { return state_ == State::kUntilClose; }
  const Headers& trailers() const { return trailers_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class State { kLength, kUntilClose, kChunkSize, kChunkData, kChunkEnd, kTrailers, kDone };

  Outcome Refuse(Refusal refusal);
  Outcome ReadData(std::string_view& data, BodySink& sink);
  std::optional<Outcome> ReadChunkSize(std::string_view& data);
  std::optional<Outcome> ReadChunkEnd(std::string_view& data);
  std::optional<Outcome> ReadTrailers(std::string_view& data);
  void OnDataEnd();

  const Limits& limits_;
  State state_ = State::kDone;
  uint64_t left_ = 0;         // Of the body or of the chunk.
  uint64_t chunks_left_ = 0;  // How many bytes further chunks may have.
  LineReader lines_;
  Headers trailers_;
  Refusal refusal_;
};

// Frames a body on its way out.
class Http1BodyWriter {
 public:
  enum class Kind {
    kNone,    // What is written is dropped: HEAD, 204, 304.
    kLength,  // Content-Length was announced.
    kChunked,
    kUntilClose,  // The end of the connection ends it.
  };
  void Begin(Kind kind, uint64_t length);
  void Write(BufferList body, OutQueue& out);

  // False when the announced length was not kept: the connection must be closed.
  bool Finish(const Headers* trailers, OutQueue& out);

 private:
  Kind kind_ = Kind::kNone;
  uint64_t length_left_ = 0;
  bool exceeded_ = false;
};

// "Name: value" lines, names with capitals as people write them ("Content-Type"). Fields that frame
// the message, and Host, are left out; control characters in values become spaces, so that no value
// can end its line.
void WriteFields(const Headers& headers, OutQueue& out);
void WriteField(std::string_view name, std::string_view value, OutQueue& out);

}  // namespace tepal::http
