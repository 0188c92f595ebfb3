#include "network/http/http1_server.h"

#include <algorithm>

#include "network/http/status_map.h"

namespace tepal::http {

namespace {

// Less room than this is not worth a read of its own: bytes go by way of the scratch memory.
constexpr size_t kDirectReadBytesMin = 2048;
constexpr size_t kExchangesKept = 2;

}  // namespace

// The session is at work, and its owner will gather output afterwards: applications' calls need not
// ask for a turn. Exchanges that ended are taken apart when no receiver is on the stack any more.
struct Http1ServerSession::Turn {
  explicit Turn(Http1ServerSession& s) : session(s) { session.in_turn_ = true; }
  ~Turn() {
    for (auto& exchange : session.retired_) exchange->Renew();
    if (session.retired_.size() > kExchangesKept) session.retired_.resize(kExchangesKept);
    session.in_turn_ = false;
  }
  Http1ServerSession& session;
};

Http1ServerSession::Http1ServerSession(const Limits& limits, SessionHost& host,
                                       RequestHandler& handler)
    : limits_(limits),
      host_(host),
      handler_(handler),
      head_(limits_),
      body_(limits_),
      idle_since_(host.Now()) {}

Http1ServerSession::~Http1ServerSession() { OnDisconnect(Cancelled("the connection was closed")); }

void Http1ServerSession::OnActive() {
  if (in_turn_ || asked_for_turn_) return;
  asked_for_turn_ = true;
  host_.OnSessionActive();
}

std::span<std::byte> Http1ServerSession::ReadRoom(std::span<std::byte> scratch) {
  const Turn turn(*this);
  direct_room_ = 0;
  if (read_ended_ || broken_ || (receiving_ && paused_)) return {};
  if (receiving_ && input_.empty() && body_.direct_bytes() > 0) {
    const auto wanted = static_cast<size_t>(body_.direct_bytes());
    std::span<std::byte> room = active_.back()->BodyRoom(wanted);
    if (receiving_ && room.empty()) {
      paused_ = true;
      return {};
    }
    room = room.first(std::min(room.size(), wanted));
    if (receiving_ && room.size() >= kDirectReadBytesMin) {
      direct_room_ = room.size();
      return room;
    }
  }
  if (!receiving_ && !closing_ && !MayBegin()) return {};
  return input_.Room(scratch);
}

bool Http1ServerSession::OnRead(size_t bytes, Instant now) {
  const Turn turn(*this);
  now_ = read_at_ = now;
  if (direct_room_ > 0) {
    TEPAL_CHECK(bytes <= direct_room_);
    direct_room_ = 0;
    std::string_view nothing;
    if (receiving_) body_.OnDirect(bytes, *active_.back());
    Pump(nothing);
  } else {
    std::string_view data = input_.Filled(bytes);
    Pump(data);
    input_.Keep(data);
  }
  return !broken_;
}

bool Http1ServerSession::OnReadEnd(Instant now) {
  const Turn turn(*this);
  read_ended_ = true;
  PumpKept(now);
  return !broken_;
}

void Http1ServerSession::PumpKept(Instant now) {
  now_ = now;
  resumed_ = false;
  std::string_view data = input_.kept();
  const bool starved = Pump(data);
  input_.Keep(data);
  if (starved && read_ended_) OnEndOfInput();
}

bool Http1ServerSession::Pump(std::string_view& data) {
  while (true) {
    if (receiving_) {
      if (paused_) return false;
      if (!PumpBody(data)) return !paused_;
      continue;
    }
    if (closing_) data = {};
    if (data.empty()) return true;
    if (!MayBegin()) return false;
    if (!head_.begun()) head_since_ = now_;
    switch (head_.Read(data)) {
      case RequestHeadReader::Outcome::kMore:
        return true;
      case RequestHeadReader::Outcome::kDone:
        Begin();
        break;
      case RequestHeadReader::Outcome::kRefused:
        Refuse(head_.refusal, InvalidArgument(std::string(head_.refusal.why)));
        break;
    }
  }
}

// False when the body goes on, later.
bool Http1ServerSession::PumpBody(std::string_view& data) {
  Http1ServerExchange& exchange = *active_.back();
  if (!data.empty()) exchange.expects_continue_ = false;  // The client did not wait.
  const Http1BodyReader::Outcome outcome = body_.Read(data, exchange);
  if (!receiving_) return true;  // The application broke it off.
  switch (outcome) {
    case Http1BodyReader::Outcome::kMore:
      if (exchange.expects_continue_) {
        paused_ = exchange.BodyRoom(static_cast<size_t>(body_.direct_bytes())).empty();
      }
      return !receiving_;
    case Http1BodyReader::Outcome::kPaused:
      paused_ = true;
      return false;
    case Http1BodyReader::Outcome::kDone:
      EndRequest();
      return true;
    case Http1BodyReader::Outcome::kRefused:
      Refuse(body_.refusal(), InvalidArgument(std::string(body_.refusal().why)));
      return true;
  }
  return true;
}

bool Http1ServerSession::MayBegin() const {
  if (active_.size() >= limits_.requests_pipelined_max) return false;
  if (draining_ && (!active_.empty() || (!drained_at_ && !head_.begun()))) return false;
  size_t unsent = 0;
  for (const auto& exchange : active_) unsent += exchange->out_.size();
  return unsent < limits_.send_high_water_bytes;
}

Http1ServerExchange& Http1ServerSession::AddExchange() {
  if (retired_.empty() || retired_.back()->receiver_ != nullptr) {
    active_.push_back(std::make_unique<Http1ServerExchange>(*this));
  } else {
    active_.push_back(std::move(retired_.back()));
    retired_.pop_back();
  }
  return *active_.back();
}

void Http1ServerSession::Begin() {
  drained_at_.reset();
  Http1ServerExchange& exchange = AddExchange();
  RequestHead head = std::move(head_.head);
  head.peer = host_.PeerHost();
  head.scheme = host_.Scheme();
  const Framing& framing = head_.framing;
  exchange.version_ = head.version;
  exchange.is_head_ = head.method == "HEAD";
  exchange.close_ = framing.close || (head.version == Version::kHttp10 && !framing.keep_alive);
  exchange.expects_continue_ = framing.expect_continue && head.has_body;
  exchange.request_done_ = !head.has_body;
  if (framing.chunked) {
    body_.BeginChunked(limits_.body_bytes_max);
  } else {
    body_.BeginLength(framing.content_length.value_or(0));
  }
  closing_ = exchange.close_;
  receiving_ = head.has_body;
  paused_ = false;
  starved_since_.reset();
  head_.Begin();
  exchange.receiver_ = handler_.OnRequest(std::move(head), exchange);
  TEPAL_CHECK(exchange.receiver_ != nullptr);
  if (exchange.request_done_ && !exchange.aborted_) {
    exchange.receiver_->OnRequestEnd(no_trailers_);
  }
}

void Http1ServerSession::EndRequest() {
  receiving_ = false;
  Http1ServerExchange& exchange = *active_.back();
  exchange.expects_continue_ = false;
  exchange.request_done_ = true;
  exchange.receiver_->OnRequestEnd(body_.trailers());
}

void Http1ServerSession::Refuse(const Refusal& refusal, const Status& why) {
  closing_ = true;
  if (receiving_) {
    receiving_ = false;
    Http1ServerExchange& exchange = *active_.back();
    Tell(exchange, why);
    exchange.Answer(refusal);
  } else {
    AddExchange().Answer(refusal);
  }
}

void Http1ServerSession::OnEndOfInput() {
  closing_ = true;
  if (!probe_at_) probe_at_ = now_;
  if (receiving_) {
    DropFrom(active_.size() - 1, Cancelled("the client closed the connection within its request"));
  }
}

// A client that has gone and one that has only finished sending look alike: both have ended their
// side. Writing tells them apart: the system of the one that has gone answers with a reset, and the
// next write fails. So while an answer is being made, interim answers are sent, more and more
// rarely; a client that still listens passes over them (RFC 9110 section 15.2).
void Http1ServerSession::Probe(Instant now) {
  constexpr int kProcessing = 102;
  constexpr Duration kFirstPause = 50ms;
  constexpr Duration kPauseMax = 5s;
  probe_pause_ = std::clamp(2 * probe_pause_, kFirstPause, kPauseMax);
  probe_at_ = now + probe_pause_;
  active_.front()->Interim(kProcessing);
}

bool Http1ServerSession::MayProbe() const {
  if (!probe_at_ || active_.empty()) return false;
  const Http1ServerExchange& front = *active_.front();
  return front.open() && !front.started_ && front.version_ != Version::kHttp10;
}

void Http1ServerSession::Output(std::vector<env::ConstBytes>& pieces) {
  const Turn turn(*this);
  asked_for_turn_ = false;
  const Instant now = host_.Now();
  RetireWritten(now);
  // What was kept may end a request that has been answered long ago, which makes room for the next.
  size_t kept = SIZE_MAX;
  while ((resumed_ || !input_.empty()) && input_.kept().size() < kept) {
    kept = input_.kept().size();
    PumpKept(now);
    RetireWritten(now);
  }
  size_t bytes = 0;
  for (const auto& exchange : active_) {
    if (!exchange->out_.Gather(pieces, bytes)) break;
    if (!exchange->response_done_ || exchange->close_ || exchange->aborted_) break;
    if (!exchange->request_done_) break;
  }
  if (bytes == 0) {
    write_since_.reset();
  } else if (!write_since_) {
    write_since_ = now;
  }
}

void Http1ServerSession::OnWritten(size_t bytes, Instant now) {
  const Turn turn(*this);
  if (bytes > 0) write_since_ = now;
  for (size_t i = 0; i < active_.size() && bytes > 0; ++i) {
    Http1ServerExchange& exchange = *active_[i];
    const size_t part = std::min(bytes, exchange.out_.size());
    exchange.out_.Consume(part);
    bytes -= part;
    if (exchange.congested_ && exchange.out_.size() < limits_.send_high_water_bytes) {
      exchange.congested_ = false;
      if (exchange.open() && exchange.receiver_ != nullptr) exchange.receiver_->OnSendRoom();
    }
  }
  TEPAL_CHECK(bytes == 0);
  RetireWritten(now);
  if (!input_.empty()) PumpKept(now);
}

void Http1ServerSession::RetireWritten(Instant now) {
  while (!active_.empty()) {
    const Http1ServerExchange& front = *active_.front();
    if (!front.response_done_ || !front.out_.empty()) return;
    if (!front.request_done_ && !front.close_ && !front.aborted_) return;
    RetireFront(now);
  }
}

void Http1ServerSession::RetireFront(Instant now) {
  const bool ends_connection = active_.front()->close_ || active_.front()->aborted_;
  if (ends_connection) {
    closing_ = true;
    DropFrom(0, Cancelled("the connection was closed after an earlier answer"));
  } else {
    retired_.push_back(std::move(active_.front()));
    active_.erase(active_.begin());
  }
  if (!active_.empty()) return;
  idle_since_ = now;
  write_since_.reset();
  if (draining_ && !head_.begun()) closing_ = true;
}

void Http1ServerSession::DropFrom(size_t index, const Status& why) {
  receiving_ = receiving_ && active_.size() <= index;
  while (active_.size() > index) {
    std::unique_ptr<Http1ServerExchange> exchange = std::move(active_.back());
    active_.pop_back();
    Tell(*exchange, why);
    retired_.push_back(std::move(exchange));
  }
}

void Http1ServerSession::Tell(Http1ServerExchange& exchange, const Status& why) {
  const bool over = exchange.request_done_ && exchange.response_done_;
  if (over || exchange.detached_ || exchange.aborted_ || exchange.receiver_ == nullptr) return;
  exchange.detached_ = true;
  exchange.receiver_->OnReset(why);
}

bool Http1ServerSession::Finished() const { return broken_ || (closing_ && active_.empty()); }

bool Http1ServerSession::Idle() const {
  return active_.empty() && !head_.begun() && input_.empty();
}

std::optional<Instant> Http1ServerSession::NextDeadline() const {
  std::optional<Instant> next;
  const auto add = [&next](Instant when) { next = next ? std::min(*next, when) : when; };
  if (Finished()) return next;
  if (write_since_) add(*write_since_ + limits_.write_idle_max);
  if (MayProbe()) add(*probe_at_);
  if (receiving_ && !paused_) add(read_at_ + limits_.body_idle_max);
  if (receiving_ && paused_ && starved_since_) add(retry_at_);
  if (!receiving_ && !closing_) {
    if (head_.begun() && MayBegin()) add(head_since_ + limits_.header_time_max);
    if (!head_.begun() && active_.empty()) {
      add(drained_at_ ? *drained_at_ + limits_.drain_first_request_max
                      : idle_since_ + limits_.idle_max);
    }
  }
  return next;
}

bool Http1ServerSession::OnTime(Instant now) {
  const Turn turn(*this);
  const std::optional<Instant> due = NextDeadline();
  if (!due || now < *due) return !broken_;
  now_ = now;
  if (MayProbe() && now >= *probe_at_) {
    Probe(now);
  } else if (write_since_ && now >= *write_since_ + limits_.write_idle_max) {
    broken_ = true;
    DropFrom(0, DeadlineExceeded("the client takes no bytes"));
  } else if (receiving_ && paused_ && starved_since_) {
    LookForMemory(now);
  } else if (receiving_) {
    Refuse({408, "the request's body stopped coming"},
           DeadlineExceeded("the request's body stopped coming"));
  } else if (head_.begun()) {
    Refuse({408, "the request's header takes too long"}, Status());
  } else {
    closing_ = true;
  }
  return !broken_;
}

void Http1ServerSession::LookForMemory(Instant now) {
  if (now < *starved_since_ + limits_.budget_wait_max) return active_.back()->ResumeBody();
  limits_.body_budget->CountRefusal();
  const Status why = NoMemoryForBody();
  Refuse({503, why.message()}, why);
}

void Http1ServerSession::Drain(Instant now) {
  const Turn turn(*this);
  if (draining_) return;
  draining_ = true;
  // One more request may be on its way, and its client cannot know whether we have seen it: closed
  // at once it would be lost. Its answer says that it is the last.
  if (active_.empty() && !head_.begun()) drained_at_ = now;
}

void Http1ServerSession::OnDisconnect(const Status& why) {
  const Turn turn(*this);
  broken_ = true;
  DropFrom(0, why);
}

std::unique_ptr<Session> NewHttp1ServerSession(const Limits& limits, SessionHost& host,
                                               RequestHandler& handler) {
  return std::make_unique<Http1ServerSession>(limits, host, handler);
}

}  // namespace tepal::http
