// The connections of the client to one address, and the requests that wait for one.
//
// HTTP/1.1: a request takes the connection that became idle last, or opens one. HTTP/2: requests
// share a connection up to its limit of streams. Owned by one loop.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "network/net/client_call.h"
#include "network/net/connection.h"
#include "network/net/tls_stream.h"

namespace tepal::net {

class ClientPool final : public ConnectionOwner {
 public:
  // The options outlive the pool.
  ClientPool(std::shared_ptr<ConnectionGroup> group, const HttpClient::Options& options,
             env::Address address, std::shared_ptr<HttpClient::Counters> counters)
      : group_(std::move(group)),
        options_(options),
        address_(std::move(address)),
        counters_(std::move(counters)) {}
  // Everything in progress is told kCancelled.
  ~ClientPool() override;

  void Send(std::shared_ptr<ClientCall> call);
  void CloseIdle();
  bool empty() const { return members_.empty() && attempts_.empty() && waiting_.empty(); }

 private:
  struct Member {
    std::unique_ptr<Connection> connection;
    http::ClientSession* session = nullptr;
    bool idle = false;  // Listed in idle_.
    Instant idle_since{};
  };
  struct Attempt {
    std::unique_ptr<env::EventLoop::Connecting> connecting;
    std::unique_ptr<TlsHandshake> handshake;
    env::EventLoop::TimerId timer = 0;
  };

  void OnConnectionClosed(Connection& connection) override;
  void OnConnectionTurn(Connection& connection) override;

  Member* FindFree();
  void Give(Member& member, const std::shared_ptr<ClientCall>& call);
  std::shared_ptr<ClientCall> NextWaiting();
  void ServeWaiting(Member& member);
  void OpenForWaiting();
  void Open();
  void OnConnected(uint64_t attempt, Result<std::unique_ptr<env::Stream>> stream);
  void OnHandshake(uint64_t attempt, Result<TlsConnection> made);
  void OnAttemptFailed(uint64_t attempt, const Status& why);
  void EndAttempt(uint64_t attempt);
  void AddMember(std::unique_ptr<env::Stream> stream);
  void BecomeIdle(Member& member);
  void NoLongerIdle(Member& member);
  void SweepIdle();
  std::unique_ptr<Connection> Remove(size_t slot);
  void Drop(Member& member);

  const std::shared_ptr<ConnectionGroup> group_;
  const HttpClient::Options& options_;
  const env::Address address_;
  const std::shared_ptr<HttpClient::Counters> counters_;
  std::vector<std::unique_ptr<Member>> members_;  // By Connection::owner_slot.
  std::vector<Member*> idle_;                     // The latest to become idle last.
  std::map<uint64_t, Attempt> attempts_;
  uint64_t attempts_made_ = 0;
  std::deque<std::shared_ptr<ClientCall>> waiting_;
  env::EventLoop::TimerId sweep_timer_ = 0;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tepal::net
