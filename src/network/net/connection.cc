#include "network/net/connection.h"

#include <algorithm>

namespace tepal::net {
namespace {

// Reads and writes of one connection in one turn before the others get theirs.
constexpr int kReadsPerTurn = 16;
constexpr size_t kBytesReadPerTurn = 1 << 20;
constexpr int kWritesPerTurn = 16;

// A socket that is closed with unread bytes sends a reset, which can destroy the answer on its way
// (RFC 9112 section 9.6). So a server closes its half and reads on for a while.
constexpr Duration kLingerTimeMax = 2s;
constexpr size_t kLingerBytesMax = 1 << 20;

}  // namespace

// Marks the connection and its group as being in a turn; ends it.
class Connection::Turn {
 public:
  explicit Turn(Connection& connection) : connection_(connection) {
    connection_.in_turn_ = true;
    connection_.group_->in_turn_ = true;
  }
  ~Turn() {
    connection_.group_->in_turn_ = false;
    connection_.EndTurn();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Connection& connection_;
};

void ConnectionGroup::Enlist(Connection& connection) {
  if (active_.empty()) loop_.Defer([self = shared_from_this()] { self->FlushActive(); });
  active_.push_back(&connection);
}

void ConnectionGroup::FlushActive() {
  // By index: a connection may enlist or destroy others. Those that become active again now are
  // put off to the next turn.
  std::vector<Connection*> now = std::exchange(active_, {});
  flushing_ = &now;
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i] != nullptr) now[i]->RunActive();
  }
  flushing_ = nullptr;
  now.clear();
  if (active_.empty()) active_ = std::move(now);
}

void ConnectionGroup::Forget(const Connection& connection) {
  for (std::vector<Connection*>* list : {&active_, flushing_}) {
    if (list != nullptr)
      std::replace(list->begin(), list->end(), const_cast<Connection*>(&connection),
                   static_cast<Connection*>(nullptr));
  }
}

Connection::~Connection() {
  if (enlisted_) group_->Forget(*this);
  if (timer_ != 0) group_->loop().Cancel(timer_);
  if (session_ != nullptr && state_ == State::kOpen) {
    state_ = State::kClosed;
    session_->OnDisconnect(dispose_why_.ok() ? Cancelled("the connection is closed")
                                             : dispose_why_);
  }
}

void Connection::Start(std::unique_ptr<env::Stream> stream,
                       std::unique_ptr<http::Session> session) {
  stream_ = std::move(stream);
  if (side_ == Side::kServer) {
    const env::Address peer = stream_->peer_address();
    if (peer.family != env::Address::Family::kUnix) peer_host_ = peer.host;
  }
  session_ = std::move(session);
  stream_->Attach(group_->loop(), *this);
  stream_->Watch(true, false);
  // HTTP/2 has its settings to send.
  OnSessionActive();
}

void Connection::Dispose(std::unique_ptr<Connection> connection, const Status& why) {
  connection->dispose_why_ = why;
  Connection& self = *connection;
  if (self.in_turn_) self.self_ = std::move(connection);
}

void Connection::Drain() {
  if (state_ != State::kOpen) return;
  session_->Drain(Now());
  OnSessionActive();
}

void Connection::AbortOnClose() {
  if (stream_ != nullptr) stream_->AbortOnClose();
}

void Connection::OnSessionActive() {
  if (in_turn_ || enlisted_ || state_ != State::kOpen) return;
  enlisted_ = true;
  group_->Enlist(*this);
}

void Connection::RunActive() {
  enlisted_ = false;
  if (state_ != State::kOpen) return;
  const Turn turn(*this);
  WriteSome();
}

void Connection::OnReadable() {
  const Turn turn(*this);
  reads_.OnReadable();
  if (state_ == State::kLingering) return Discard();
  ReadSome();
  if (state_ == State::kOpen) WriteSome();
}

void Connection::OnWritable() {
  const Turn turn(*this);
  if (state_ == State::kOpen) WriteSome();
}

void Connection::ReadSome() {
  size_t bytes_read = 0;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const std::span<std::byte> room = session_->ReadRoom(group_->scratch_);
    read_paused_ = room.empty();
    if (read_paused_) break;
    size_t room_bytes = room.size();
    const env::IoResult result = ReadInto(room, room_bytes);
    if (result.outcome == env::IoResult::Outcome::kFailed) {
      return Disconnect(Status::FromErrno(result.error, "reading from the connection"));
    }
    if (result.outcome == env::IoResult::Outcome::kEnd) {
      read_ended_ = true;
      broken_ = !session_->OnReadEnd(Now());
      break;
    }
    if (result.outcome == env::IoResult::Outcome::kWouldBlock) break;
    bytes_read += result.bytes;
    broken_ = !session_->OnRead(result.bytes, Now());
    // Less than there was room for: the socket is empty, and tells us when it is not.
    if (broken_ || result.bytes < room_bytes || bytes_read >= kBytesReadPerTurn) break;
  }
}

env::IoResult Connection::ReadInto(std::span<std::byte> room, size_t& room_bytes) {
  const std::span<const std::span<std::byte>> pieces = session_->RoomPieces();
  if (pieces.size() < 2) return stream_->Read(room);
  room_bytes = 0;
  for (const std::span<std::byte> piece : pieces) room_bytes += piece.size();
  return stream_->ReadPieces(pieces);
}

void Connection::WriteSome() {
  write_blocked_ = false;
  for (int i = 0; i < kWritesPerTurn; ++i) {
    std::vector<env::ConstBytes>& pieces = group_->pieces_;
    pieces.clear();
    session_->Output(pieces);
    if (pieces.empty()) {
      write_blocked_ = false;
      break;
    }
    write_blocked_ = true;  // Until it has taken everything.
    const env::IoResult result = stream_->Write(pieces);
    if (result.outcome == env::IoResult::Outcome::kWouldBlock) break;
    if (result.outcome == env::IoResult::Outcome::kFailed) {
      // A server that refuses a request may answer and close before it has read all of it.
      if (side_ == Side::kClient) ReadSome();
      if (state_ == State::kOpen) {
        Disconnect(Status::FromErrno(result.error, "writing to the connection"));
      }
      break;
    }
    session_->OnWritten(result.bytes, Now());
  }
}

// The last thing a turn does: the connection may be gone afterwards.
void Connection::EndTurn() {
  if (self_ == nullptr && state_ == State::kOpen && !write_blocked_ &&
      (broken_ || session_->Finished())) {
    if (side_ == Side::kServer && !read_ended_) {
      BeginLinger();
    } else {
      Disconnect(Unavailable("the connection is closed"));
    }
  }
  in_turn_ = false;
  if (self_ != nullptr) {
    const std::unique_ptr<Connection> self = std::move(self_);
    return;
  }
  if (state_ == State::kClosed) return owner_.OnConnectionClosed(*this);
  if (state_ == State::kLingering) return;
  // What was written, or what the application did, may have made room.
  if (read_paused_) read_paused_ = session_->ReadRoom(group_->scratch_).empty();
  stream_->Watch(!read_ended_ && !read_paused_ && !broken_, write_blocked_);
  reads_.Expect(*stream_, session_->BytesToCome());
  KeepTimer();
  owner_.OnConnectionTurn(*this);
}

void Connection::BeginLinger() {
  state_ = State::kLingering;
  reads_.Expect(*stream_, 0);
  session_->OnDisconnect(Unavailable("the connection is closed"));
  stream_->ShutdownWrite();
  stream_->Watch(true, false);
  if (timer_ != 0) group_->loop().Cancel(timer_);
  timer_at_ = Now() + kLingerTimeMax;
  timer_ = group_->loop().RunAt(timer_at_, [this] { OnTimer(); });
}

void Connection::Discard() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const env::IoResult result = stream_->Read(group_->scratch_);
    if (result.outcome == env::IoResult::Outcome::kWouldBlock) return;
    discarded_bytes_ += result.bytes;
    if (result.outcome != env::IoResult::Outcome::kDone || discarded_bytes_ > kLingerBytesMax) {
      return Disconnect(Unavailable("the connection is closed"));
    }
  }
}

void Connection::Disconnect(const Status& why) {
  const bool session_knows = state_ != State::kOpen;
  state_ = State::kClosed;
  if (!session_knows) session_->OnDisconnect(why);
  reads_.Stop();
  stream_.reset();
}

void Connection::OnTimer() {
  timer_ = 0;
  const Turn turn(*this);
  if (state_ == State::kLingering) return Disconnect(Unavailable("the connection is closed"));
  const std::optional<Instant> deadline = session_->NextDeadline();
  if (!deadline || *deadline > Now()) return;
  broken_ = !session_->OnTime(Now()) || broken_;
  WriteSome();
}

void Connection::KeepTimer() {
  const std::optional<Instant> deadline = session_->NextDeadline();
  if (!deadline || (timer_ != 0 && timer_at_ <= *deadline)) return;
  if (timer_ != 0) group_->loop().Cancel(timer_);
  timer_at_ = *deadline;
  timer_ = group_->loop().RunAt(timer_at_, [this] { OnTimer(); });
}

}  // namespace tepal::net
