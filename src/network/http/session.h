// A protocol on one connection without its socket: bytes come in, bytes go out.
//
// The owner (net/connection.h) moves bytes between a Stream and the session and keeps its timers:
//
//   readable: room = ReadRoom(); n = stream.Read(room); session.OnRead(n)
//   after anything: gather Output() into one write; session.OnWritten(n)
//   at NextDeadline(): session.OnTime(now)
//
// A session never blocks, never reads a clock and never owns a socket, so tests and fuzzers feed it
// bytes. Owned by one loop.

#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/buffer/slab_source.h"
#include "core/env/network.h"
#include "network/http/stream.h"

namespace tepal::http {

// Every limit of a connection, each with a name in the documentation (docs/limits.md).
struct Limits {
  size_t header_count_max = 100;
  size_t header_bytes_max = 64 * 1024;    // Request line and fields together: 431 above.
  uint64_t body_bytes_max = 64ull << 20;  // Declared or received: 413 above.
  Duration header_time_max = 10s;         // First byte to end of the head: 408.
  Duration body_idle_max = 30s;           // Between two reads of a body: 408.
  Duration idle_max = 75s;                // Kept-alive connection with no request.
  uint32_t streams_max = 1024;            // HTTP/2: concurrent streams of one connection.
  uint32_t window_bytes = 4u << 20;       // HTTP/2: initial window of a stream.
  uint32_t connection_window_bytes = 16u << 20;
  size_t send_high_water_bytes = 1u << 20;  // unsent_bytes above which to pause.
  Duration write_idle_max = 60s;            // Bytes wait and the peer takes none: closed.
  Duration drain_first_request_max = 1s;    // Drain: for a first request after it on idle ones.
  uint32_t requests_pipelined_max = 64;     // HTTP/1.1: read ahead of the answers.

  // HTTP/2: a ping after so long without a byte from the other side. 0: we send none.
  Duration keepalive_time{0};
  Duration keepalive_timeout = 20s;  // Not a byte for that long after a ping: closed.
  // Pings of either side are also in place while there is no stream.
  bool keepalive_without_streams = false;
  // HTTP/2 servers: a ping that comes sooner than this after the one before is a strike, unless we
  // have sent HEADERS or DATA in between. More strikes than the maximum, unless that is 0, end the
  // connection (ENHANCE_YOUR_CALM, "too_many_pings").
  Duration ping_interval_min = 300s;
  uint32_t ping_strikes_max = 2;
  // HTTP/2: streams that the peer resets or makes us reset, and SETTINGS, PING, PRIORITY and empty
  // DATA frames: so many at once, and then so many in a second. More: ENHANCE_YOUR_CALM.
  uint32_t resets_burst_max = 1000;
  uint32_t resets_per_second_max = 100;
  uint32_t control_frames_burst_max = 1000;
  uint32_t control_frames_per_second_max = 100;
  // HTTP/2 servers: a connection this old, give or take a tenth, is drained; what is in progress
  // then has the grace. 0: never; as long as it takes.
  Duration connection_age_max{0};
  Duration connection_age_grace{0};

  // Of the bodies that this process holds at once; shared by every connection. Null: no limit. It
  // outlives them all, and the bodies.
  Budget* body_budget = nullptr;
  Duration budget_wait_max = 1s;  // A body that gets no memory for that long: 503.

  // Where request bodies lie that find room there; also an answer to what pinned memory they take.
  // Null: all lie in ordinary memory. It outlives the bodies too.
  SlabSource* body_source = nullptr;

  // Memory for a body; `size` was taken from the budget, if there is one.
  Buffer NewBody(size_t size) const {
    Buffer body;
    if (body_source != nullptr) body = body_source->TryAllocate(size, body_budget);
    if (!body.empty()) return body;
    return body_budget == nullptr ? Buffer::Allocate(size)
                                  : Buffer::AllocateTaken(size, *body_budget);
  }
};

// How often a body that waits for the budget asks again.
inline constexpr Duration kBudgetRetryInterval = 10ms;

class Session {
 public:
  virtual ~Session() = default;

  // Where the next bytes from the socket should go: a body's own memory when one is being received,
  // `scratch` otherwise. Empty: do not read now. May be asked any number of times between reads.
  virtual std::span<std::byte> ReadRoom(std::span<std::byte> scratch) = 0;

  // All of the room that ReadRoom has just given, of which that was the first piece; empty when
  // there is no more than that.
  virtual std::span<const std::span<std::byte>> RoomPieces() const { return {}; }

  // The first `bytes` of the room of the last ReadRoom were filled, and nothing else was asked of
  // the session since. False: the connection is broken beyond
  // repair; write Output() and close.
  virtual bool OnRead(size_t bytes, Instant now) = 0;

  // How many bytes are known to come before anybody has a use for them; 0 when unknown.
  virtual size_t BytesToCome() const { return 0; }

  // The peer has half-closed. False as for OnRead.
  virtual bool OnReadEnd(Instant now) = 0;

  // Appends what wants to be written, at most a few MiB; the bytes stay valid until OnWritten.
  virtual void Output(std::vector<env::ConstBytes>& pieces) = 0;
  virtual void OnWritten(size_t bytes, Instant now) = 0;

  // Whether the connection should be closed once Output() is empty.
  virtual bool Finished() const = 0;

  // No request is in progress and nothing is waiting to be written.
  virtual bool Idle() const = 0;

  // When OnTime wants to be called; empty: never.
  virtual std::optional<Instant> NextDeadline() const = 0;
  virtual bool OnTime(Instant now) = 0;

  // Finish what was begun, take nothing new, tell the peer politely (Connection: close, GOAWAY). A
  // connection that has not carried a request yet still gets a short time for its first one.
  virtual void Drain(Instant now) = 0;

  // The transport is gone: every exchange in progress is told.
  virtual void OnDisconnect(const Status& why) = 0;
};

// How a session asks its owner for a turn when something happened outside of OnRead, OnTime and the
// rest: an application answered, or gave body room. The turn begins with Output(), which may also
// take up requests read earlier; then ReadRoom, Finished and NextDeadline may have changed.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  // Called by applications' doing, from within their call: do not call the session back here.
  virtual void OnSessionActive() = 0;

  // For servers: see RequestHead::peer.
  virtual std::string_view PeerHost() const { return {}; }
  // For servers: what a request's scheme is where the request does not say (HTTP/1.1).
  virtual std::string_view Scheme() const { return "http"; }

  // Of this connection among its loop's: spreads what would else happen to many at once.
  virtual uint64_t Ordinal() const { return 0; }

  virtual Instant Now() const = 0;
};

class ClientSession : public Session {
 public:
  // Begins a request; HTTP/1.1 takes one at a time. The receiver is owned by the session from now
  // on. Null when the session takes no more requests (drained, GOAWAY, at its limit of streams).
  virtual RequestSender* Send(const RequestHead& head, bool end_of_request,
                              std::unique_ptr<ResponseReceiver> receiver) = 0;

  // How many more requests Send would take now.
  virtual uint32_t Capacity() const = 0;
};

// HTTP/1.1 (RFC 9112), server and client side: http1_*.cc.
std::unique_ptr<Session> NewHttp1ServerSession(const Limits& limits, SessionHost& host,
                                               RequestHandler& handler);
std::unique_ptr<ClientSession> NewHttp1ClientSession(const Limits& limits, SessionHost& host);

// HTTP/2 (RFC 9113) over nghttp2: http2_*.cc.
std::unique_ptr<Session> NewHttp2ServerSession(const Limits& limits, SessionHost& host,
                                               RequestHandler& handler);
std::unique_ptr<ClientSession> NewHttp2ClientSession(const Limits& limits, SessionHost& host);

// Chooses between the two server sessions by the first bytes (the HTTP/2 preface).
std::unique_ptr<Session> NewServerSession(const Limits& limits, SessionHost& host,
                                          RequestHandler& handler);

}  // namespace tepal::http
