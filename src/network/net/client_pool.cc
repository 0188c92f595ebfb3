#include "network/net/client_pool.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::net {

ClientPool::~ClientPool() {
  if (sweep_timer_ != 0) group_->loop().Cancel(sweep_timer_);
  for (const auto& [number, attempt] : attempts_) group_->loop().Cancel(attempt.timer);
  const Status why = Cancelled("the client is closed");
  counters_->connections_open -= static_cast<uint32_t>(members_.size());
  for (const auto& member : std::exchange(members_, {})) {
    Connection::Dispose(std::move(member->connection), why);
  }
  for (const auto& call : std::exchange(waiting_, {})) call->Fail(why);
}

void ClientPool::Send(std::shared_ptr<ClientCall> call) {
  if (Member* member = FindFree()) return Give(*member, call);
  waiting_.push_back(std::move(call));
  if (!group_->in_turn()) return OpenForWaiting();
  // Asked for from within an answer, whose connection is about to become free.
  group_->loop().Defer([alive = std::weak_ptr<int>(alive_), this] {
    if (!alive.expired()) OpenForWaiting();
  });
}

void ClientPool::OpenForWaiting() {
  std::erase_if(waiting_, [](const auto& call) { return !call->waiting(); });
  // One connection carries every stream of HTTP/2 that it has room for.
  const size_t wanted = options_.http2 ? std::min<size_t>(waiting_.size(), 1) : waiting_.size();
  while (attempts_.size() < wanted) Open();
}

ClientPool::Member* ClientPool::FindFree() {
  if (!options_.http2) return idle_.empty() ? nullptr : idle_.back();
  for (const auto& member : members_) {
    if (member->session->Capacity() > 0) return member.get();
  }
  return nullptr;
}

void ClientPool::Give(Member& member, const std::shared_ptr<ClientCall>& call) {
  NoLongerIdle(member);
  Connection* const connection = options_.http2 ? nullptr : member.connection.get();
  TEPAL_CHECK(call->Begin(*member.session, connection));
}

std::shared_ptr<ClientCall> ClientPool::NextWaiting() {
  while (!waiting_.empty()) {
    std::shared_ptr<ClientCall> call = std::move(waiting_.front());
    waiting_.pop_front();
    if (call->waiting()) return call;
  }
  return nullptr;
}

void ClientPool::ServeWaiting(Member& member) {
  while (member.session->Capacity() > 0 && (options_.http2 || member.session->Idle())) {
    const std::shared_ptr<ClientCall> call = NextWaiting();
    if (call == nullptr) return;
    Give(member, call);
  }
}

void ClientPool::Open() {
  const uint64_t number = ++attempts_made_;
  Attempt& attempt = attempts_[number];
  const Duration time_max = options_.connect_time_max;
  attempt.timer = group_->loop().RunAfter(time_max, [this, number, time_max] {
    OnAttemptFailed(number, DeadlineExceeded(Concat("connecting to ", address_.ToString(),
                                                    " takes longer than ",
                                                    ToMicroseconds(time_max) / 1000, " ms")));
  });
  attempt.connecting =
      group_->loop().Connect(address_, [this, number](Result<std::unique_ptr<env::Stream>> stream) {
        OnConnected(number, std::move(stream));
      });
}

void ClientPool::EndAttempt(uint64_t number) {
  const auto found = attempts_.find(number);
  group_->loop().Cancel(found->second.timer);
  attempts_.erase(found);
}

void ClientPool::OnConnected(uint64_t number, Result<std::unique_ptr<env::Stream>> stream) {
  if (!stream.ok()) return OnAttemptFailed(number, stream.status());
  if (options_.tls == nullptr) {
    EndAttempt(number);
    return AddMember(std::move(stream).value());
  }
  const bool is_unix = address_.family == env::Address::Family::kUnix;
  attempts_[number].handshake = TlsHandshake::StartClient(
      group_->loop(), options_.tls->Get(), std::move(stream).value(),
      is_unix ? "localhost" : address_.host, {options_.http2 ? "h2" : "http/1.1"},
      kTlsHandshakeTimeMax,
      [this, number](Result<TlsConnection> made) { OnHandshake(number, std::move(made)); });
}

void ClientPool::OnHandshake(uint64_t number, Result<TlsConnection> made) {
  if (made.ok() && options_.http2 && made->protocol != "h2") {
    made = Unavailable("the server does not agree to HTTP/2 (ALPN)");
  }
  if (!made.ok()) {
    ++counters_->tls_handshake_failures;
    return OnAttemptFailed(number,
                           made.status().WithContext(Concat("TLS with ", address_.ToString())));
  }
  ++counters_->tls_handshakes;
  EndAttempt(number);
  AddMember(std::move(made->stream));
}

// The last thing a caller does: a receiver that is told may destroy the client.
void ClientPool::OnAttemptFailed(uint64_t number, const Status& why) {
  const Status kept_why = why;
  EndAttempt(number);
  ++counters_->connect_failures;
  std::deque<std::shared_ptr<ClientCall>> failed;
  if (options_.http2) {
    failed = std::exchange(waiting_, {});
  } else {
    std::erase_if(waiting_, [](const auto& call) { return !call->waiting(); });
    // Every request that waits has an attempt of its own, unless it is served by another's.
    while (waiting_.size() > attempts_.size()) {
      failed.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  for (const auto& call : failed) call->Fail(kept_why);
}

void ClientPool::AddMember(std::unique_ptr<env::Stream> stream) {
  auto owned = std::make_unique<Member>();
  Member& member = *owned;
  member.connection = std::make_unique<Connection>(group_, *this, Connection::Side::kClient);
  member.connection->owner_slot = members_.size();
  members_.push_back(std::move(owned));
  ++counters_->connections_opened;
  ++counters_->connections_open;
  std::unique_ptr<http::ClientSession> session =
      options_.http2 ? http::NewHttp2ClientSession(options_.limits, *member.connection)
                     : http::NewHttp1ClientSession(options_.limits, *member.connection);
  member.session = session.get();
  member.connection->Start(std::move(stream), std::move(session));
  ServeWaiting(member);
  // Its requests may have gone meanwhile.
  if (member.session->Idle()) BecomeIdle(member);
}

void ClientPool::OnConnectionTurn(Connection& connection) {
  Member& member = *members_[connection.owner_slot];
  if (member.idle) return;
  if (!waiting_.empty()) ServeWaiting(member);
  if (member.session->Capacity() > 0 && member.session->Idle()) BecomeIdle(member);
}

void ClientPool::OnConnectionClosed(Connection& connection) {
  const std::unique_ptr<Connection> gone = Remove(connection.owner_slot);
  if (options_.http2 && FindFree() == nullptr) OpenForWaiting();
}

std::unique_ptr<Connection> ClientPool::Remove(size_t slot) {
  std::unique_ptr<Member> gone = std::move(members_[slot]);
  NoLongerIdle(*gone);
  if (slot + 1 != members_.size()) {
    members_[slot] = std::move(members_.back());
    members_[slot]->connection->owner_slot = slot;
  }
  members_.pop_back();
  --counters_->connections_open;
  return std::move(gone->connection);
}

void ClientPool::Drop(Member& member) {
  Connection::Dispose(Remove(member.connection->owner_slot), Cancelled("the connection was idle"));
}

void ClientPool::BecomeIdle(Member& member) {
  member.idle = true;
  member.idle_since = group_->loop().Now();
  idle_.push_back(&member);
  if (idle_.size() > options_.idle_connections_max) {
    Drop(*idle_.front());
  } else if (sweep_timer_ == 0) {
    sweep_timer_ = group_->loop().RunAfter(options_.idle_keep, [this] { SweepIdle(); });
  }
}

void ClientPool::NoLongerIdle(Member& member) {
  if (!member.idle) return;
  member.idle = false;
  // Nearly always the last.
  idle_.erase(std::find(idle_.rbegin(), idle_.rend(), &member).base() - 1);
}

void ClientPool::SweepIdle() {
  sweep_timer_ = 0;
  const Instant now = group_->loop().Now();
  while (!idle_.empty() && idle_.front()->idle_since + options_.idle_keep <= now) {
    Drop(*idle_.front());
  }
  if (idle_.empty()) return;
  sweep_timer_ =
      group_->loop().RunAt(idle_.front()->idle_since + options_.idle_keep, [this] { SweepIdle(); });
}

void ClientPool::CloseIdle() {
  while (!idle_.empty()) Drop(*idle_.back());
}

}  // namespace tepal::net
