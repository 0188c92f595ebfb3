#include "network/http/http1_client.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::http {

namespace {

constexpr size_t kDirectReadBytesMin = 2048;
constexpr int kInterimAnswersMax = 32;  // 1xx before one answer.

// A target as it may stand in a request line: what would end it is escaped.
std::string SafeTarget(std::string_view target) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string safe;
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte != 0x7f) {
      safe.push_back(c);
    } else {
      safe.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return safe.empty() ? "/" : safe;
}

bool MethodHasBody(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

// The session is at work; see Http1ServerSession::Turn.
struct Http1ClientSession::Turn {
  explicit Turn(Http1ClientSession& s) : session(s) { session.in_turn_ = true; }
  ~Turn() {
    session.in_turn_ = false;
    if (!session.retired_.empty()) auto gone = std::move(session.retired_);
  }
  Http1ClientSession& session;
};

Http1ClientSession::Http1ClientSession(const Limits& limits, SessionHost& host)
    : limits_(limits),
      host_(host),
      sender_(*this),
      head_(limits_),
      body_(limits_),
      idle_since_(host.Now()) {}

Http1ClientSession::~Http1ClientSession() { OnDisconnect(Cancelled("the connection was closed")); }

void Http1ClientSession::OnActive() {
  if (in_turn_ || asked_for_turn_) return;
  asked_for_turn_ = true;
  host_.OnSessionActive();
}

uint32_t Http1ClientSession::Capacity() const {
  return busy() || closing_ || read_ended_ || !out_.empty() ? 0 : 1;
}

RequestSender* Http1ClientSession::Send(const RequestHead& head, bool end_of_request,
                                        std::unique_ptr<ResponseReceiver> receiver) {
  if (Capacity() == 0) return nullptr;
  TEPAL_CHECK(receiver != nullptr && IsToken(head.method));
  receiver_ = std::move(receiver);
  is_head_ = head.method == "HEAD";
  request_done_ = end_of_request;
  reusable_ = true;
  in_body_ = paused_ = resumed_ = congested_ = false;
  interim_answers_ = 0;
  written_ = 0;
  head_.Begin();
  WriteHead(head, end_of_request);
  OnActive();
  return &sender_;
}

void Http1ClientSession::WriteHead(const RequestHead& head, bool end_of_request) {
  out_.Append(Concat(head.method, ' ', SafeTarget(head.target), " HTTP/1.1\r\n"));
  WriteField("host", head.authority, out_);
  WriteFields(head.headers, out_);
  if (end_of_request) {
    writer_.Begin(Http1BodyWriter::Kind::kNone, 0);
    if (MethodHasBody(head.method)) out_.Append("Content-Length: 0\r\n");
  } else if (head.content_length.has_value()) {
    writer_.Begin(Http1BodyWriter::Kind::kLength, *head.content_length);
    out_.Append(Concat("Content-Length: ", *head.content_length, "\r\n"));
  } else {
    writer_.Begin(Http1BodyWriter::Kind::kChunked, 0);
    out_.Append("Transfer-Encoding: chunked\r\n");
  }
  out_.Append("\r\n");
}

void Http1ClientSession::Sender::Write(BufferList body) {
  if (!session_.busy() || session_.request_done_) return;
  session_.writer_.Write(std::move(body), session_.out_);
  session_.congested_ =
      session_.congested_ || session_.out_.size() >= session_.limits_.send_high_water_bytes;
  session_.OnActive();
}

void Http1ClientSession::Sender::Finish(const Headers* trailers) {
  if (!session_.busy() || session_.request_done_) return;
  session_.request_done_ = true;
  // A length that was not kept leaves the server waiting: the connection is of no more use.
  if (!session_.writer_.Finish(trailers, session_.out_)) session_.reusable_ = false;
  session_.OnActive();
}

void Http1ClientSession::Sender::Cancel() {
  if (!session_.busy()) return;
  session_.retired_.push_back(std::move(session_.receiver_));
  session_.out_.Clear();
  session_.write_since_.reset();
  // Whoever has seen a byte of the request waits for the rest of it, and answers.
  if (session_.written_ > 0) session_.closing_ = true;
  session_.idle_since_ = session_.host_.Now();
  session_.OnActive();
}

void Http1ClientSession::Sender::ResumeBody() {
  if (!session_.busy() || !session_.paused_) return;
  session_.paused_ = false;
  session_.resumed_ = true;
  session_.OnActive();
}

std::span<std::byte> Http1ClientSession::ReadRoom(std::span<std::byte> scratch) {
  const Turn turn(*this);
  direct_room_ = 0;
  if (read_ended_ || (busy() && paused_)) return {};
  if (busy() && in_body_ && input_.empty() && body_.direct_bytes() > 0) {
    const uint64_t known = body_.until_close() ? 0 : body_.direct_bytes();
    std::span<std::byte> room = receiver_->BodyRoom(static_cast<size_t>(known));
    if (busy() && room.empty()) {
      paused_ = true;
      return {};
    }
    room = room.first(static_cast<size_t>(std::min<uint64_t>(room.size(), body_.direct_bytes())));
    if (busy() && room.size() >= kDirectReadBytesMin) {
      direct_room_ = room.size();
      return room;
    }
  }
  return input_.Room(scratch);
}

bool Http1ClientSession::OnRead(size_t bytes, Instant) {
  const Turn turn(*this);
  if (direct_room_ > 0) {
    TEPAL_CHECK(bytes <= direct_room_);
    direct_room_ = 0;
    std::string_view nothing;
    if (busy()) body_.OnDirect(bytes, *receiver_);
    Pump(nothing);
  } else {
    std::string_view data = input_.Filled(bytes);
    Pump(data);
    input_.Keep(data);
  }
  return true;
}

void Http1ClientSession::PumpKept() {
  resumed_ = false;
  std::string_view data = input_.kept();
  Pump(data);
  input_.Keep(data);
}

void Http1ClientSession::Pump(std::string_view& data) {
  bool progress = true;
  while (progress) {
    if (!busy()) {
      // Nobody asked: whose answer this is can not be known.
      if (!data.empty()) closing_ = true;
      data = {};
      return;
    }
    progress = in_body_ ? PumpBody(data) : PumpHead(data);
  }
}

bool Http1ClientSession::PumpHead(std::string_view& data) {
  if (written_ == 0 && !data.empty()) {
    // Servers say 408 so before they close an idle connection.
    Fail(Unavailable("the server sent an answer before the request"));
    return true;
  }
  switch (head_.Read(data)) {
    case ResponseHeadReader::Outcome::kMore:
      return false;
    case ResponseHeadReader::Outcome::kDone:
      OnHead();
      return true;
    case ResponseHeadReader::Outcome::kRefused:
      break;
  }
  Fail(Unavailable(Concat("the server's answer is malformed: ", head_.refusal.why)));
  return true;
}

void Http1ClientSession::OnHead() {
  if (head_.head.status < 200) {
    if (head_.head.status == 101) return Fail(Unavailable("the server switches protocols unasked"));
    if (++interim_answers_ > kInterimAnswersMax) {
      return Fail(Unavailable("the server sends interim answers without end"));
    }
    return head_.Begin();
  }
  ResponseHead head = std::move(head_.head);
  const Framing& framing = head_.framing;
  reusable_ = reusable_ && (head_.http10 ? framing.keep_alive : !framing.close);
  in_body_ = true;
  if (is_head_ || head.status == 204 || head.status == 304) {
    body_.BeginLength(0);
  } else if (framing.chunked) {
    head.has_body = true;
    body_.BeginChunked(UINT64_MAX);
  } else if (framing.content_length.has_value()) {
    head.has_body = *framing.content_length > 0;
    body_.BeginLength(*framing.content_length);
  } else {
    head.has_body = true;
    reusable_ = false;
    body_.BeginUntilClose();
  }
  receiver_->OnResponse(std::move(head));
}

bool Http1ClientSession::PumpBody(std::string_view& data) {
  if (paused_) return false;
  const Http1BodyReader::Outcome outcome = body_.Read(data, *receiver_);
  if (!busy()) return true;
  switch (outcome) {
    case Http1BodyReader::Outcome::kMore:
      return false;
    case Http1BodyReader::Outcome::kPaused:
      paused_ = true;
      return false;
    case Http1BodyReader::Outcome::kDone:
      if (!data.empty()) reusable_ = false;
      End();
      return true;
    case Http1BodyReader::Outcome::kRefused:
      break;
  }
  Fail(Unavailable(Concat("the server's answer is malformed: ", body_.refusal().why)));
  return true;
}

void Http1ClientSession::End() {
  // An answer before the request's end: the rest of the request is not worth sending.
  if (!request_done_ || !out_.empty()) reusable_ = false;
  if (!reusable_) closing_ = true;
  out_.Clear();
  write_since_.reset();
  in_body_ = false;
  idle_since_ = host_.Now();
  const std::unique_ptr<ResponseReceiver> receiver = std::move(receiver_);
  receiver->OnResponseEnd(body_.trailers());
}

void Http1ClientSession::Fail(Status why) {
  closing_ = true;
  out_.Clear();
  write_since_.reset();
  if (!busy()) return;
  const std::unique_ptr<ResponseReceiver> receiver = std::move(receiver_);
  receiver->OnFailure({std::move(why), written_ == 0});
}

bool Http1ClientSession::OnReadEnd(Instant) {
  const Turn turn(*this);
  read_ended_ = true;
  if (!busy()) {
    closing_ = true;
  } else if (in_body_ && body_.until_close() && !paused_) {
    PumpKept();
    if (busy() && !paused_) End();
  } else if (!paused_) {
    Fail(Unavailable(in_body_ ? "the server closed the connection within its answer"
                              : "the server closed the connection before its answer"));
  }
  return true;
}

void Http1ClientSession::Output(std::vector<env::ConstBytes>& pieces) {
  const Turn turn(*this);
  asked_for_turn_ = false;
  if (resumed_) {
    PumpKept();
    if (read_ended_) OnReadEnd(host_.Now());
  }
  size_t bytes = 0;
  out_.Gather(pieces, bytes);
  if (bytes == 0) {
    write_since_.reset();
  } else if (!write_since_) {
    write_since_ = host_.Now();
  }
}

void Http1ClientSession::OnWritten(size_t bytes, Instant now) {
  const Turn turn(*this);
  written_ += bytes;
  out_.Consume(bytes);
  if (bytes > 0) write_since_ = now;
  if (congested_ && out_.size() < limits_.send_high_water_bytes) {
    congested_ = false;
    if (busy() && !request_done_) receiver_->OnSendRoom();
  }
}

bool Http1ClientSession::Finished() const { return closing_ && !busy(); }

bool Http1ClientSession::Idle() const { return !busy() && out_.empty(); }

std::optional<Instant> Http1ClientSession::NextDeadline() const {
  if (Finished()) return std::nullopt;
  if (write_since_) return *write_since_ + limits_.write_idle_max;
  if (!busy()) return idle_since_ + limits_.idle_max;
  return std::nullopt;
}

bool Http1ClientSession::OnTime(Instant now) {
  const Turn turn(*this);
  const std::optional<Instant> due = NextDeadline();
  if (!due || now < *due) return true;
  if (busy()) {
    Fail(Unavailable("the server takes no bytes"));
    return false;
  }
  closing_ = true;
  return true;
}

void Http1ClientSession::Drain(Instant) { closing_ = true; }

void Http1ClientSession::OnDisconnect(const Status& why) {
  const Turn turn(*this);
  Fail(why);
}

std::unique_ptr<ClientSession> NewHttp1ClientSession(const Limits& limits, SessionHost& host) {
  return std::make_unique<Http1ClientSession>(limits, host);
}

}  // namespace tepal::http
