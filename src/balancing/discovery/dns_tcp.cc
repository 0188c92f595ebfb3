#include <array>
#include <utility>

#include "balancing/discovery/dns_transport.h"

namespace tepal::discovery {

namespace {

class OverTcp final : public DnsAsking, private env::StreamEvents {
 public:
  OverTcp(env::EventLoop& loop, DnsQuestion question, DnsDone done)
      : loop_(loop), question_(std::move(question)), done_(std::move(done)) {}
  ~OverTcp() override { loop_.Cancel(timer_); }

  void Begin(const env::Address& server, Instant deadline) {
    const std::vector<std::byte> question = WriteDnsQuestion(question_).value();
    out_.push_back(static_cast<std::byte>(question.size() >> 8));
    out_.push_back(static_cast<std::byte>(question.size() & 0xff));
    out_.insert(out_.end(), question.begin(), question.end());
    timer_ = loop_.RunAt(deadline, [this] { End(DeadlineExceeded("no answer in time")); });
    connecting_ = loop_.Connect(server, [this](Result<std::unique_ptr<env::Stream>> stream) {
      if (!stream.ok()) return End(stream.status());
      stream_ = *std::move(stream);
      stream_->Attach(loop_, *this);
      OnWritable();
    });
  }

 private:
  void OnWritable() override {
    while (sent_ < out_.size()) {
      const env::ConstBytes piece{out_.data() + sent_, out_.size() - sent_};
      const env::IoResult result = stream_->Write({&piece, 1});
      if (result.outcome == env::IoResult::Outcome::kWouldBlock) break;
      if (result.outcome != env::IoResult::Outcome::kDone) {
        return End(Unavailable("the connection broke"));
      }
      sent_ += result.bytes;
    }
    stream_->Watch(true, sent_ < out_.size());
  }

  void OnReadable() override {
    for (;;) {
      std::array<std::byte, 4096> room;
      const env::IoResult result = stream_->Read(room);
      if (result.outcome == env::IoResult::Outcome::kWouldBlock) return;
      if (result.outcome != env::IoResult::Outcome::kDone) {
        return End(Unavailable("the connection was closed before the answer"));
      }
      in_.insert(in_.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(result.bytes));
      if (in_.size() < 2) continue;
      const size_t size = static_cast<size_t>(in_[0]) << 8 | static_cast<size_t>(in_[1]);
      if (in_.size() >= size + 2) return End(Check(ReadDnsAnswer(std::span(in_).subspan(2, size))));
    }
  }

  Result<DnsAnswer> Check(Result<DnsAnswer> answer) const {
    if (!answer.ok()) return answer;
    if (!AnswersQuestion(*answer, question_)) {
      return Unavailable("the answer is to another question");
    }
    if (answer->truncated) return Unavailable("the answer is not whole");
    return answer;
  }

  void End(Result<DnsAnswer> answer) {
    if (!done_) return;
    loop_.Cancel(timer_);
    if (stream_ != nullptr) stream_->Watch(false, false);
    std::exchange(done_, nullptr)(std::move(answer));
  }

  env::EventLoop& loop_;
  const DnsQuestion question_;
  DnsDone done_;
  std::vector<std::byte> out_;
  std::vector<std::byte> in_;
  size_t sent_ = 0;
  env::EventLoop::TimerId timer_ = 0;
  std::unique_ptr<env::EventLoop::Connecting> connecting_;
  std::unique_ptr<env::Stream> stream_;
};

}  // namespace

std::unique_ptr<DnsAsking> AskOverTcp(env::EventLoop& loop, const env::Address& server,
                                      const DnsQuestion& question, Instant deadline, DnsDone done) {
  auto asking = std::make_unique<OverTcp>(loop, question, std::move(done));
  asking->Begin(server, deadline);
  return asking;
}

}  // namespace tepal::discovery
