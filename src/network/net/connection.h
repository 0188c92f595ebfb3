// One connection: moves bytes between a stream and an HTTP session and keeps the session's timer.
//
// A small request costs one read and one write: the session answers inside OnRead, and what it has
// to say is written at the end of that turn. When the application answers later, the connections
// that have become active are flushed together at the end of the loop's turn. A busy connection
// does not touch its timer: the timer looks at the session's deadline when it fires and goes on.
// Knows neither requests nor pools. Owned by one loop.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/env/event_loop.h"
#include "network/http/session.h"
#include "network/net/read_coalescing.h"

namespace tepal::net {

class Connection;

// What the connections of one owner on one loop share.
class ConnectionGroup : public std::enable_shared_from_this<ConnectionGroup> {
 public:
  // `scheme` is that of requests, a constant.
  explicit ConnectionGroup(env::EventLoop& loop, std::string_view scheme = "http")
      : loop_(loop), scheme_(scheme) {}

  env::EventLoop& loop() { return loop_; }

  // Whether a session of the group is on the stack now.
  bool in_turn() const { return in_turn_; }

 private:
  friend class Connection;
  static constexpr size_t kScratchBytes = 64 * 1024;

  void Enlist(Connection& connection);
  void FlushActive();
  void Forget(const Connection& connection);

  env::EventLoop& loop_;
  const std::string_view scheme_;
  uint64_t connections_started_ = 0;
  bool in_turn_ = false;
  std::vector<Connection*> active_;  // Null: destroyed meanwhile.
  std::vector<Connection*>* flushing_ = nullptr;
  std::vector<env::ConstBytes> pieces_;
  std::array<std::byte, kScratchBytes> scratch_;
};

// What the owner of connections hears. Either call may destroy the connection with Connection::
// Dispose.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // The transport has gone and the session knows. The last call.
  virtual void OnConnectionClosed(Connection& connection) = 0;
  // A turn is over: the session may have become idle.
  virtual void OnConnectionTurn(Connection&) {}
};

class Connection final : public http::SessionHost, private env::StreamEvents {
 public:
  enum class Side { kServer, kClient };

  Connection(std::shared_ptr<ConnectionGroup> group, ConnectionOwner& owner, Side side)
      : group_(std::move(group)),
        owner_(owner),
        side_(side),
        ordinal_(++group_->connections_started_),
        reads_(group_->loop()) {}
  ~Connection() override;

  // Once. The session was made with this connection as its host.
  void Start(std::unique_ptr<env::Stream> stream, std::unique_ptr<http::Session> session);

  // Destroys the connection, after its turn when it is in one; whatever is in progress is told
  // `why`.
  static void Dispose(std::unique_ptr<Connection> connection, const Status& why);

  http::Session& session() { return *session_; }

  // Closes politely as soon as the request in progress, or the first one to come, is answered.
  void Drain();

  // A close that follows is a reset: over HTTP/1.1 the only way to tell a server that nobody waits
  // for its answer, because an orderly close looks like a half-close.
  void AbortOnClose();

  // Owner's mark; the connection does not look at it.
  size_t owner_slot = 0;

  // http::SessionHost:
  void OnSessionActive() override;
  Instant Now() const override { return group_->loop().Now(); }
  std::string_view PeerHost() const override { return peer_host_; }
  std::string_view Scheme() const override { return group_->scheme_; }
  uint64_t Ordinal() const override { return ordinal_; }

 private:
  friend class ConnectionGroup;
  class Turn;
  enum class State { kOpen, kLingering, kClosed };

  void OnReadable() override;
  void OnWritable() override;
  void OnTimer();
  void RunActive();

  void ReadSome();
  env::IoResult ReadInto(std::span<std::byte> room, size_t& room_bytes);
  void Discard();
  void WriteSome();
  void EndTurn();
  void BeginLinger();
  void Disconnect(const Status& why);
  void KeepTimer();

  std::shared_ptr<ConnectionGroup> group_;
  ConnectionOwner& owner_;
  const Side side_;
  const uint64_t ordinal_;
  State state_ = State::kOpen;
  bool in_turn_ = false;
  bool enlisted_ = false;
  bool read_ended_ = false;
  bool read_paused_ = false;
  bool write_blocked_ = false;
  bool broken_ = false;  // The session has refused to go on: write and close.
  size_t discarded_bytes_ = 0;
  std::string peer_host_;
  std::unique_ptr<env::Stream> stream_;
  std::unique_ptr<http::Session> session_;
  ReadCoalescing reads_;
  env::EventLoop::TimerId timer_ = 0;
  Instant timer_at_{};
  Instant last_write_{};              // Or when writing began to be blocked.
  std::unique_ptr<Connection> self_;  // Set by Dispose during a turn.
  Status dispose_why_;
};

}  // namespace tepal::net
