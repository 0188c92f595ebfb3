// The application's side of one HTTP/1.1 exchange on a server: how an answer is framed.

#include <charconv>
#include <cstring>

#include "network/http/http1_server.h"
#include "network/http/status_map.h"

namespace tepal::http {

namespace {

// RFC 9110 section 6.4.1.
bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

void WriteNumberField(std::string_view name, uint64_t value, OutQueue& out) {
  char* const begin = out.Reserve(name.size() + 24);
  std::memcpy(begin, name.data(), name.size());
  char* to = std::to_chars(begin + name.size(), begin + name.size() + 20, value).ptr;
  *to++ = '\r';
  *to++ = '\n';
  out.Commit(static_cast<size_t>(to - begin));
}

}  // namespace

void Http1ServerExchange::Renew() {
  receiver_.reset();
  out_.Clear();
  version_ = Version::kHttp11;
  is_head_ = close_ = expects_continue_ = request_done_ = started_ = response_done_ = false;
  aborted_ = detached_ = congested_ = false;
}

void Http1ServerExchange::Respond(ResponseHead head, BufferList body) {
  if (!open() || started_) return;
  head.content_length = TotalSize(body);
  StartNow(head);
  writer_.Write(std::move(body), out_);
  FinishNow(nullptr);
  session_.OnActive();
}

void Http1ServerExchange::Start(ResponseHead head) {
  if (!open() || started_) return;
  StartNow(head);
  session_.OnActive();
}

void Http1ServerExchange::Write(BufferList body) {
  if (!open() || !started_) return;
  writer_.Write(std::move(body), out_);
  congested_ = congested_ || out_.size() >= session_.limits_.send_high_water_bytes;
  session_.OnActive();
}

void Http1ServerExchange::Finish(const Headers* trailers) {
  if (!open() || !started_) return;
  FinishNow(trailers);
  session_.OnActive();
}

void Http1ServerExchange::Interim(int status) {
  if (!open() || started_ || version_ == Version::kHttp10) return;
  if (status == 100) expects_continue_ = false;
  WriteStatusLine(status);
  out_.Append("\r\n");
  session_.OnActive();
}

void Http1ServerExchange::Reset(uint32_t) {
  if (!open()) return;
  Abort();
  session_.OnActive();
}

void Http1ServerExchange::ResumeBody() {
  if (!session_.is_receiving(*this) || !session_.paused_) return;
  session_.paused_ = false;
  session_.resumed_ = true;
  session_.read_at_ = session_.host_.Now();
  session_.OnActive();
}

Buffer Http1ServerExchange::AllocateBody(size_t size) {
  Budget* const budget = session_.limits_.body_budget;
  if (!session_.is_receiving(*this)) return Buffer::Allocate(size);
  if (budget != nullptr && !budget->TryTake(size)) {
    const Instant now = session_.host_.Now();
    if (!session_.starved_since_) session_.starved_since_ = now;
    session_.retry_at_ = now + kBudgetRetryInterval;
    return {};
  }
  session_.starved_since_.reset();
  return session_.limits_.NewBody(size);
}

Budget* Http1ServerExchange::body_budget() const { return session_.limits_.body_budget; }

std::span<std::byte> Http1ServerExchange::BodyRoom(size_t expected) {
  if (aborted_) return {};
  const std::span<std::byte> room = receiver_->BodyRoom(expected);
  if (expects_continue_ && !room.empty()) Interim(100);
  return room;
}

void Http1ServerExchange::OnBody(size_t bytes) {
  expects_continue_ = false;
  if (!aborted_) receiver_->OnBody(bytes);
}

void Http1ServerExchange::WriteStatusLine(int status) {
  if (status == 200 && version_ != Version::kHttp10) return out_.Append("HTTP/1.1 200 OK\r\n");
  out_.Append(version_ == Version::kHttp10 ? "HTTP/1.0 " : "HTTP/1.1 ");
  const char digits[] = {static_cast<char>('0' + status / 100 % 10),
                         static_cast<char>('0' + status / 10 % 10),
                         static_cast<char>('0' + status % 10), ' '};
  out_.Append(std::string_view(digits, sizeof(digits)));
  out_.Append(ReasonPhrase(status));
  out_.Append("\r\n");
}

Http1BodyWriter::Kind Http1ServerExchange::ChooseFraming(const ResponseHead& head) {
  if (is_head_ || HasNoBody(head.status)) return Http1BodyWriter::Kind::kNone;
  if (head.content_length.has_value()) return Http1BodyWriter::Kind::kLength;
  if (version_ != Version::kHttp10) return Http1BodyWriter::Kind::kChunked;
  close_ = true;
  return Http1BodyWriter::Kind::kUntilClose;
}

void Http1ServerExchange::StartNow(ResponseHead& head) {
  started_ = true;
  const Http1BodyWriter::Kind kind = ChooseFraming(head);
  writer_.Begin(kind, head.content_length.value_or(0));
  // A client that waits for 100 Continue may or may not send its body after another answer.
  close_ = close_ || expects_continue_ ||
           (session_.is_newest(*this) && (session_.draining_ || session_.closing_));
  if (close_) session_.closing_ = true;
  WriteStatusLine(head.status);
  WriteFields(head.headers, out_);
  if (kind == Http1BodyWriter::Kind::kChunked) {
    out_.Append("Transfer-Encoding: chunked\r\n");
  } else if (head.content_length.has_value() && (head.status == 304 || !HasNoBody(head.status))) {
    WriteNumberField("Content-Length: ", *head.content_length, out_);
  }
  if (close_) {
    out_.Append("Connection: close\r\n");
  } else if (version_ == Version::kHttp10) {
    out_.Append("Connection: keep-alive\r\n");
  }
  out_.Append("\r\n");
}

void Http1ServerExchange::FinishNow(const Headers* trailers) {
  if (!writer_.Finish(trailers, out_)) Abort();
  response_done_ = true;
}

void Http1ServerExchange::Abort() {
  if (session_.is_receiving(*this)) session_.receiving_ = false;
  session_.closing_ = true;
  aborted_ = response_done_ = true;
}

void Http1ServerExchange::Answer(const Refusal& refusal) {
  close_ = true;
  request_done_ = true;
  detached_ = true;
  if (response_done_) return;
  if (started_) return Abort();
  ResponseHead head;
  head.status = refusal.status;
  head.headers.Add("content-type", "application/json");
  BufferList body;
  body.push_back(Buffer::Copy(ErrorBody(refusal.why)));
  head.content_length = body.front().size();
  StartNow(head);
  writer_.Write(std::move(body), out_);
  FinishNow(nullptr);
}

}  // namespace tepal::http
