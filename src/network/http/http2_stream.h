// One stream of an HTTP/2 connection, whichever side: its bytes on their way in and out.
//
// Incoming bytes are credited to the peer's windows as the sink takes them; what a paused sink has
// not taken waits here, no more than the window allowed. Outgoing buffers wait here until flow
// control lets them go, and are then sent from where they lie.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/time.h"
#include "network/http/out_queue.h"
#include "network/http/stream.h"

namespace tepal::http {

class Http2Core;

class Http2Stream {
 public:
  // `server`: whether this is the side that answers.
  Http2Stream(Http2Core& core, bool server) : core_(core), server_(server) {}
  virtual ~Http2Stream();

  int32_t id() const { return id_; }

  // From the connection.
  void OnField(std::string_view name, std::string_view value);
  void OnHeadersEnd(bool end_of_stream);
  void OnData(std::span<const std::byte> data);
  void OnInputEnd();
  // The sink's, while bytes go to it as they come.
  Buffer OpenMemory();
  void OnClosed(uint32_t error_code);
  // Gives the sink what waits for it.
  void Deliver();
  bool resumed() const { return resumed_; }

  // The next bytes to send: how many of at most `bytes_max`, none when there are none now.
  size_t NextData(size_t bytes_max) const;
  bool SendingEnds(size_t bytes) const { return output_ended_ && bytes == output_bytes_; }
  bool has_trailers() const { return trailers_to_send_.has_value(); }
  // True when it has fallen below the high-water mark by that.
  bool MoveData(size_t bytes, OutQueue& out);
  void SubmitTrailers();
  virtual void OnSendRoom() = 0;

  // Where in the connection's output the head of a request begins, once it does.
  void set_wire_offset(uint64_t offset) { wire_offset_ = offset; }

  // The connection is gone.
  virtual void OnDisconnect(const Status& why) = 0;

  // When the peer has been silent for too long; empty while nothing is expected of it.
  virtual std::optional<Instant> InputDeadline() const = 0;
  virtual void OnInputTimeout() = 0;

  // The connection is drained, and all that the peer sent before it knew has come.
  virtual void OnDrain() {}

  // END_STREAM was sent.
  void OnOutputDone();

 protected:
  // A head or a trailer section is complete in fields().
  virtual void OnHead(bool end_of_stream) = 0;
  virtual void OnPseudoField(std::string_view name, std::string_view value) = 0;
  // Everything of a body was delivered.
  virtual void OnBodyEnd(const Headers& trailers) = 0;
  // Before its time.
  virtual void OnBroken(uint32_t error_code) = 0;
  virtual BodySink* sink() = 0;  // Null: bytes are thrown away.
  virtual uint64_t body_bytes_max() const = 0;
  // Whether the room that the sink gives is as large as what must still come.
  virtual bool takes_exact_room() const { return false; }
  virtual void OnBodyTooLarge() = 0;

  bool closed() const { return closed_; }
  bool output_done() const { return output_done_; }
  size_t output_bytes() const { return output_bytes_; }
  void WriteBody(BufferList body);
  void FinishBody(const Headers* trailers);
  void ResumeInput();
  void ResetStream(uint32_t error_code);
  // Received and not taken by the sink.
  size_t bytes_waiting() const;
  // Of the budget that the bytes in waiting have: at most so much, for the memory they will move
  // to.
  size_t TakeOverHeld(size_t bytes_max);
  void ReturnHeld(size_t bytes) { held_bytes_ += bytes; }
  // Incoming bytes are of no more interest.
  void DropInput();
  // The session forgets the stream at the end of its turn, when it is closed.
  void MaybeForget();

  Http2Core& core_;
  const bool server_;
  int32_t id_ = -1;
  Headers fields_;
  bool fields_too_large_ = false;
  bool head_done_ = false;
  std::optional<uint64_t> content_length_;
  std::optional<uint64_t> wire_offset_;
  bool input_done_ = false;      // Nothing more will be delivered.
  bool ends_when_sent_ = false;  // The rest of the input is not wanted once the output is sent.
  Instant input_at_;             // When something of the body came last.
  bool output_ended_ = false;
  bool input_ended_ = false;
  bool paused_ = false;

 private:
  friend class Http2Core;

  size_t Place(std::span<const std::byte> data);
  size_t ToCome(size_t room) const;
  void Hold(std::span<const std::byte> data);
  void Unhold(size_t bytes);

  std::deque<Buffer> waiting_;  // Received, not taken by the sink.
  size_t held_bytes_ = 0;       // What the budget counts of them.
  uint64_t received_ = 0;
  uint64_t delivered_ = 0;
  size_t fields_bytes_ = 0;
  bool resumed_ = false;
  std::deque<Buffer> output_;
  size_t output_bytes_ = 0;
  std::optional<Headers> trailers_to_send_;
  bool output_done_ = false;
  bool congested_ = false;
  bool closed_ = false;
};

}  // namespace tepal::http
