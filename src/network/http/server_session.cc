// One port for both protocols: the first bytes of a connection say which it speaks.

#include <algorithm>
#include <string>
#include <string_view>

#include "network/http/session.h"

namespace tepal::http {

namespace {

// RFC 9113 section 3.4. No request of HTTP/1.1 begins so.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// A first line, if it has come whole, that names another protocol than HTTP/1: a broken preface, or
// something else altogether. An answer of HTTP/1.1 would mean nothing to whoever sent it.
bool NamesAnotherProtocol(std::string_view text) {
  const size_t end = text.find_first_of("\r\n");
  if (end == std::string_view::npos) return false;
  const std::string_view line = text.substr(0, end);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == last) return false;
  return !line.substr(last + 1).starts_with("HTTP/") || line == kPreface.substr(0, line.size());
}

class ChoosingSession final : public Session {
 public:
  ChoosingSession(const Limits& limits, SessionHost& host, RequestHandler& handler)
      : limits_(limits), host_(host), handler_(handler), since_(host.Now()) {}

  std::span<std::byte> ReadRoom(std::span<std::byte> scratch) override {
    if (chosen_) return chosen_->ReadRoom(scratch);
    return room_ = finished_ ? std::span<std::byte>() : scratch;
  }

  std::span<const std::span<std::byte>> RoomPieces() const override {
    return chosen_ ? chosen_->RoomPieces() : std::span<const std::span<std::byte>>();
  }

  bool OnRead(size_t bytes, Instant now) override {
    if (chosen_) return chosen_->OnRead(bytes, now);
    if (seen_ == 0) since_ = now;
    const auto* text = reinterpret_cast<const char*>(room_.data());
    const std::string_view fresh(text, bytes);
    const size_t compared = std::min(fresh.size(), kPreface.size() - seen_);
    const bool http2 = fresh.substr(0, compared) == kPreface.substr(seen_, compared);
    if (http2 && seen_ + compared < kPreface.size()) {
      seen_ += compared;
      return true;
    }
    if (seen_ == 0) return Choose(http2, room_.first(bytes), now);
    std::string all(kPreface.substr(0, seen_));
    all += fresh;
    return Choose(http2, std::as_writable_bytes(std::span(all)), now);
  }

  size_t BytesToCome() const override { return chosen_ ? chosen_->BytesToCome() : 0; }
  bool OnReadEnd(Instant now) override {
    if (chosen_) return chosen_->OnReadEnd(now);
    finished_ = true;
    return true;
  }
  void Output(std::vector<env::ConstBytes>& pieces) override {
    if (chosen_) chosen_->Output(pieces);
  }
  void OnWritten(size_t bytes, Instant now) override {
    if (chosen_) chosen_->OnWritten(bytes, now);
  }
  bool Finished() const override { return chosen_ ? chosen_->Finished() : finished_; }
  bool Idle() const override { return chosen_ ? chosen_->Idle() : seen_ == 0; }

  std::optional<Instant> NextDeadline() const override {
    if (chosen_) return chosen_->NextDeadline();
    if (finished_) return std::nullopt;
    if (seen_ > 0) return since_ + limits_.header_time_max;
    if (drained_at_) return *drained_at_ + limits_.drain_first_request_max;
    return since_ + limits_.idle_max;
  }
  bool OnTime(Instant now) override {
    if (chosen_) return chosen_->OnTime(now);
    const std::optional<Instant> due = NextDeadline();
    finished_ = finished_ || (due && now >= *due);
    return true;
  }
  void Drain(Instant now) override {
    if (chosen_) return chosen_->Drain(now);
    if (!drained_at_) drained_at_ = now;
  }
  void OnDisconnect(const Status& why) override {
    if (chosen_) return chosen_->OnDisconnect(why);
    finished_ = true;
  }

 private:
  bool Choose(bool http2, std::span<std::byte> bytes, Instant now) {
    // The session of HTTP/2 says what is wrong with its preface.
    http2 =
        http2 || NamesAnotherProtocol({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    chosen_ = http2 ? NewHttp2ServerSession(limits_, host_, handler_)
                    : NewHttp1ServerSession(limits_, host_, handler_);
    if (drained_at_) chosen_->Drain(now);
    return Pass(bytes, now);
  }

  // All of it at once: a session that has read nothing reads into whatever it is offered.
  bool Pass(std::span<std::byte> bytes, Instant now) {
    TEPAL_CHECK(chosen_->ReadRoom(bytes).data() == bytes.data());
    return chosen_->OnRead(bytes.size(), now);
  }

  const Limits limits_;
  SessionHost& host_;
  RequestHandler& handler_;
  std::unique_ptr<Session> chosen_;
  std::span<std::byte> room_;
  size_t seen_ = 0;  // Bytes of the preface so far, and nothing else.
  bool finished_ = false;
  Instant since_;
  std::optional<Instant> drained_at_;
};

}  // namespace

std::unique_ptr<Session> NewServerSession(const Limits& limits, SessionHost& host,
                                          RequestHandler& handler) {
  return std::make_unique<ChoosingSession>(limits, host, handler);
}

}  // namespace tepal::http
