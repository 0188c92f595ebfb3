// What both sides of an HTTP/2 connection share: nghttp2's session, flow control, timers, drain.
//
// nghttp2 parses and writes frames (RFC 9113) and knows the protocol's rules; its limits on answers
// that the peer does not take and on continuations are on, those on how often something comes are
// ours, because they need the time. Windows are never updated automatically. DATA frames carry no
// copy of what they send.

#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "network/http/http2_direct_read.h"
#include "network/http/http2_liveness.h"
#include "network/http/http2_stream.h"
#include "network/http/out_queue.h"
#include "network/http/rate_limit.h"
#include "network/http/session.h"

namespace tepal::http {

class Http2Core {
 public:
  // What a side adds.
  class Side {
   public:
    virtual ~Side() = default;
    // A request's stream has begun; null refuses it. Servers only.
    virtual std::unique_ptr<Http2Stream> NewStream() = 0;
  };

  Http2Core(bool server, const Limits& limits, SessionHost& host, Side& side);
  ~Http2Core();

  // Session's.
  std::span<std::byte> ReadRoom(std::span<std::byte> scratch);
  std::span<const std::span<std::byte>> RoomPieces() const { return room_; }
  bool OnRead(size_t bytes, Instant now);
  bool OnReadEnd(Instant now);
  void Output(std::vector<env::ConstBytes>& pieces);
  void OnWritten(size_t bytes, Instant now);
  bool Finished() const;
  bool Idle() const;
  std::optional<Instant> NextDeadline() const;
  bool OnTime(Instant now);
  void Drain(Instant now);
  void OnDisconnect(const Status& why);

  // For streams.
  const Limits& limits() const { return limits_; }
  const SessionHost& host() const { return host_; }
  nghttp2_session* session() const { return session_; }
  void Consume(int32_t id, size_t bytes);
  // What the receiver of the body that came last still has room for.
  void set_bytes_to_come(size_t bytes) { bytes_to_come_ = bytes; }
  size_t bytes_to_come() const { return bytes_to_come_; }
  void OnActive();
  void Resumed() { any_resumed_ = true; }
  void Forget(int32_t id);
  bool WasWritten(uint64_t offset) const { return written_ > offset; }
  // The data source that reads from `stream`.
  nghttp2_data_provider DataOf(Http2Stream& stream);

  void Add(int32_t id, std::unique_ptr<Http2Stream> stream);
  size_t streams() const { return streams_.size(); }
  bool accepts_streams() const { return !draining_ && !goaway_received_ && !broken_; }
  bool settings_received() const { return settings_received_; }
  // Looks at every stream's InputDeadline at that time, or before.
  void CheckAt(Instant when);
  Instant read_at() const { return read_at_; }
  // Bytes received that no sink has taken, and streams among them that wait for the budget.
  void CountHeld(ptrdiff_t bytes) { held_bytes_ += static_cast<size_t>(bytes); }
  void CountStarved(int streams) { starved_streams_ += streams; }
  Instant now() const;

  // Receivers of ended exchanges, which may still be on the stack.
  template <typename Receiver>
  void Retire(std::unique_ptr<Receiver> receiver) {
    if (receiver == nullptr) return;
    retired_.push_back(std::move(receiver));
    if (!in_turn_) OnActive();
  }

 private:
  // Frames are made ahead of the transport up to here, so that windows and priorities still count
  // for what is not made yet.
  static constexpr size_t kFramesAheadBytes = (1u << 20) + (64u << 10);
  static constexpr uint32_t kFrameBytesMax =
      64 * 1024;  // Announced, and used where the peer allows it.
  // What our pings carry, to know the answer to the one of a drain.
  static constexpr uint8_t kAlivePing[8] = {'a', 'l', 'i', 'v', 'e', 0, 0, 0};
  static constexpr uint8_t kDrainPing[8] = {'d', 'r', 'a', 'i', 'n', 0, 0, 0};

  struct Turn;
  struct Callbacks;  // What nghttp2 calls: http2_callbacks.cc.
  friend struct Callbacks;

  nghttp2_session* NewSession();
  void SubmitPreface();
  void OnGoawaySent();
  void LastGoawayDue() {
    goaway_at_.reset();
    last_goaway_due_ = true;
  }
  void SubmitLastGoaway();
  void EndStreams();
  bool Fail(int nghttp2_error);
  // The peer has broken a rule of ours: the connection ends with this turn. `debug` is for its log.
  void Condemn(std::string_view debug);
  bool EndCondemned();
  void OnControlFrame();
  void OnReset();
  void OnPing();
  void BeginDrain(Instant now);
  bool KeepAlive(Instant now);
  Instant WhenOld() const;
  void SendFrames();
  void DeliverResumed();
  void CheckStreams(Instant now);
  Http2Stream* Find(int32_t id);

  const bool server_;
  const Limits limits_;
  SessionHost& host_;
  Side& side_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> forgotten_;
  std::vector<std::unique_ptr<BodySink>> retired_;
  std::vector<int32_t> with_send_room_;
  OutQueue out_;
  Http2DirectRead direct_;
  std::span<const std::span<std::byte>> room_;
  size_t bytes_to_come_ = 0;
  uint64_t appended_ = 0;  // Bytes of output so far, written or not.
  uint64_t written_ = 0;
  size_t held_bytes_ = 0;
  int starved_streams_ = 0;
  bool in_turn_ = false;
  bool asked_for_turn_ = false;
  bool any_resumed_ = false;
  bool settings_received_ = false;
  bool goaway_received_ = false;
  bool draining_ = false;
  bool streams_end_ = false;  // As the server drains, and not only this connection.
  bool last_goaway_due_ = false;
  bool goaway_sent_ = false;  // The last one.
  bool broken_ = false;
  std::string_view condemned_;  // Why, if so.
  Instant idle_since_;
  Instant read_at_;
  Http2Keepalive keepalive_;
  Http2PingGuard ping_guard_;
  RateLimit resets_;
  RateLimit control_frames_;
  std::optional<Instant> old_at_;      // Drained then, of age.
  std::optional<Instant> grace_ends_;  // Closed then, whatever is in progress.
  std::optional<Instant> check_at_;
  std::optional<Instant> goaway_at_;  // When to send the last one, answered ping or not.
  std::optional<Instant> write_since_;
};

// The fields of a head as nghttp2 takes them; views of `headers` and of the added values, which
// must outlive it.
class Http2Fields {
 public:
  void Add(std::string_view name, std::string_view value);
  // Without what frames a message in HTTP/1.1; values with characters that no value may have are
  // left out.
  void AddAll(const Headers& headers);
  const nghttp2_nv* data() const { return fields_.data(); }
  size_t size() const { return fields_.size(); }

 private:
  std::vector<nghttp2_nv> fields_;
};

// Both sides' sessions are a Session around a core.
template <typename Interface>
class Http2Shell : public Interface, protected Http2Core::Side {
 public:
  Http2Shell(bool server, const Limits& limits, SessionHost& host)
      : core_(server, limits, host, *this) {}
  std::span<std::byte> ReadRoom(std::span<std::byte> scratch) override {
    return core_.ReadRoom(scratch);
  }
  std::span<const std::span<std::byte>> RoomPieces() const override { return core_.RoomPieces(); }
  bool OnRead(size_t bytes, Instant now) override { return core_.OnRead(bytes, now); }
  size_t BytesToCome() const override { return core_.bytes_to_come(); }
  bool OnReadEnd(Instant now) override { return core_.OnReadEnd(now); }
  void Output(std::vector<env::ConstBytes>& pieces) override { core_.Output(pieces); }
  void OnWritten(size_t bytes, Instant now) override { core_.OnWritten(bytes, now); }
  bool Finished() const override { return core_.Finished(); }
  bool Idle() const override { return core_.Idle(); }
  std::optional<Instant> NextDeadline() const override { return core_.NextDeadline(); }
  bool OnTime(Instant now) override { return core_.OnTime(now); }
  void Drain(Instant now) override { core_.Drain(now); }
  void OnDisconnect(const Status& why) override { core_.OnDisconnect(why); }

 protected:
  Http2Core core_;
};

}  // namespace tepal::http
