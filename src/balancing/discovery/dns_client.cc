#include "balancing/discovery/dns_client.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "core/base/text.h"

namespace tepal::discovery {

namespace {

constexpr int kServerFailure = 2;  // RCODEs after which another server may know better.
constexpr int kRefused = 5;

// Whether another server may know better: kUnavailable then.
Result<DnsAnswer> Useful(Result<DnsAnswer> answer) {
  if (!answer.ok()) {
    const bool late = answer.status().code() == StatusCode::kDeadlineExceeded;
    return late ? Unavailable(answer.status().message()) : answer;
  }
  if (answer->code == kRefused) return Unavailable("refused");
  if (answer->code == kServerFailure) return Unavailable("the server failed");
  return answer;
}

// One question to one server.
class Question final : public env::StreamEvents {
 public:
  using Done = Function<void(Result<DnsAnswer>)>;
  struct Asked {
    std::string name;
    DnsType type;
    uint16_t id;
  };

  Question(env::EventLoop& loop, env::Address server, Asked asked, Done done)
      : loop_(loop), server_(std::move(server)), asked_(std::move(asked)), done_(std::move(done)) {}
  ~Question() override { loop_.Cancel(timer_); }

  void Begin(Duration time_max) {
    const auto question = WriteDnsQuestion(asked_.id, asked_.name, asked_.type);
    if (!question.ok()) {
      loop_.Defer([this, alive = std::weak_ptr<bool>(alive_), why = question.status()] {
        if (!alive.expired()) End(why);
      });
      return;
    }
    out_.push_back(static_cast<std::byte>(question->size() >> 8));
    out_.push_back(static_cast<std::byte>(question->size() & 0xff));
    out_.insert(out_.end(), question->begin(), question->end());
    timer_ = loop_.RunAfter(time_max, [this] { End(DeadlineExceeded("no answer in time")); });
    connecting_ = loop_.Connect(server_, [this](Result<std::unique_ptr<env::Stream>> stream) {
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

  // Whether it answers what was asked.
  Result<DnsAnswer> Check(Result<DnsAnswer> answer) const {
    if (!answer.ok()) return answer;
    std::string name = asked_.name;
    if (name.ends_with('.')) name.pop_back();
    if (answer->id != asked_.id || !EqualsIgnoreCase(answer->question, name) ||
        answer->question_type != static_cast<uint16_t>(asked_.type)) {
      return Unavailable("the answer is to another question");
    }
    return answer;
  }

  void End(Result<DnsAnswer> answer) {
    if (!done_) return;
    loop_.Cancel(timer_);
    if (stream_ != nullptr) stream_->Watch(false, false);
    Done done = std::exchange(done_, nullptr);
    done(std::move(answer));
  }

  env::EventLoop& loop_;
  const env::Address server_;
  const Asked asked_;
  Done done_;
  std::vector<std::byte> out_;
  std::vector<std::byte> in_;
  size_t sent_ = 0;
  env::EventLoop::TimerId timer_ = 0;
  std::unique_ptr<env::EventLoop::Connecting> connecting_;
  std::unique_ptr<env::Stream> stream_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

struct DnsClient::State : std::enable_shared_from_this<DnsClient::State> {
  State(env::EventLoop& on, Options asked, uint64_t seed)
      : loop(on), options(std::move(asked)), random(seed) {}

  struct Job {
    std::string name;
    DnsType type;
    size_t server = 0;
    Question::Done done;
    std::unique_ptr<Question> question;
  };

  void AskServer(uint64_t number) {
    Job& job = jobs[number];
    const auto id = static_cast<uint16_t>(random.Below(65536));
    counters.CountQuestion(job.type);
    job.question = std::make_unique<Question>(
        loop, options.servers[job.server], Question::Asked{job.name, job.type, id},
        [weak = weak_from_this(), number](Result<DnsAnswer> answer) mutable {
          // Not within the question's own call: it is destroyed here.
          const auto state = weak.lock();
          if (state == nullptr) return;
          state->loop.Defer([weak, number, answer = std::move(answer)]() mutable {
            if (const auto self = weak.lock()) self->OnAnswer(number, std::move(answer));
          });
        });
    job.question->Begin(options.time_max);
  }

  void OnAnswer(uint64_t number, Result<DnsAnswer> answer) {
    const auto job = jobs.find(number);
    if (job == jobs.end()) return;
    job->second.question.reset();
    counters.CountEnd(answer);
    answer = Useful(std::move(answer))
                 .WithContext(Concat("asking ", options.servers[job->second.server].ToString(),
                                     " for '", job->second.name, "'"));
    if (!answer.ok() && answer.status().code() != StatusCode::kInvalidArgument &&
        ++job->second.server < options.servers.size()) {
      return AskServer(number);
    }
    Question::Done done = std::move(job->second.done);
    jobs.erase(job);
    done(std::move(answer));
  }

  env::EventLoop& loop;
  const Options options;
  env::SeededRandom random;
  uint64_t last = 0;
  std::map<uint64_t, Job> jobs;
  DnsCounters counters;
};

DnsClient::DnsClient(env::EventLoop& loop, Options options, uint64_t seed)
    : state_(std::make_shared<State>(loop, std::move(options), seed)) {}

const DnsCounters& DnsClient::counters() const { return state_->counters; }

DnsClient::~DnsClient() { state_->jobs.clear(); }

void DnsClient::Ask(std::string name, DnsType type, Function<void(Result<DnsAnswer>)> done) {
  const uint64_t number = ++state_->last;
  state_->jobs[number] = {std::move(name), type, 0, std::move(done), nullptr};
  state_->AskServer(number);
}

}  // namespace tepal::discovery
