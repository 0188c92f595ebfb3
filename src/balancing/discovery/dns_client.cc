#include "balancing/discovery/dns_client.h"

#include <deque>
#include <map>
#include <utility>

#include "balancing/discovery/dns_transport.h"
#include "core/base/text.h"

namespace tepal::discovery {

namespace {

// Whether another server may know better: kUnavailable then.
Result<DnsAnswer> Useful(Result<DnsAnswer> answer) {
  if (!answer.ok()) {
    const bool late = answer.status().code() == StatusCode::kDeadlineExceeded;
    return late ? Unavailable(answer.status().message()) : answer;
  }
  switch (answer->code) {
    case kDnsRefused:
      return Unavailable("refused");
    case kDnsFormatError:
    case kDnsServerFailure:
    case kDnsNotImplemented:
      return Unavailable("the server failed");
    default:
      return answer;
  }
}

}  // namespace

struct DnsClient::State : std::enable_shared_from_this<DnsClient::State> {
  State(env::EventLoop& on, Options asked, uint64_t seed, const DnsCounters& before)
      : loop(on), options(std::move(asked)), random(seed), counters(before) {}

  struct Job {
    DnsQuestion question;
    size_t server = 0;
    Instant deadline{};  // Of the server.
    DnsDone done;
    std::unique_ptr<DnsAsking> asking = nullptr;
  };

  void AskWaiting() {
    while (!waiting.empty() && jobs.size() < kDnsQuestionsMax) {
      const uint64_t number = ++last;
      jobs[number] = std::move(waiting.front());
      waiting.pop_front();
      AskServer(number);
    }
  }

  void AskServer(uint64_t number) {
    Job& job = jobs[number];
    job.question.id = static_cast<uint16_t>(random.Below(65536));
    counters.CountQuestion(job.question.type);
    job.deadline = loop.Now() + options.time_max;
    job.asking = AskOverUdp(loop, options.servers[job.server], job.question, job.deadline,
                            WhenAnswered(number));
  }

  // Not within the question's own call: it is destroyed here.
  DnsDone WhenAnswered(uint64_t number) {
    return [weak = weak_from_this(), number](Result<DnsAnswer> answer) mutable {
      const auto state = weak.lock();
      if (state == nullptr) return;
      state->loop.Defer([weak, number, answer = std::move(answer)]() mutable {
        if (const auto self = weak.lock()) self->OnAnswer(number, std::move(answer));
      });
    };
  }

  void OnAnswer(uint64_t number, Result<DnsAnswer> answer) {
    const auto entry = jobs.find(number);
    if (entry == jobs.end()) return;
    Job& job = entry->second;
    const env::Address& server = options.servers[job.server];
    job.asking.reset();
    if (answer.ok() && answer->truncated) {
      job.asking = AskOverTcp(loop, server, job.question, job.deadline, WhenAnswered(number));
      return;
    }
    counters.CountEnd(answer);
    answer =
        Useful(std::move(answer))
            .WithContext(Concat("asking ", server.ToString(), " for '", job.question.name, "'"));
    if (!answer.ok() && ++job.server < options.servers.size()) return AskServer(number);
    DnsDone done = std::move(job.done);
    jobs.erase(entry);
    AskWaiting();
    done(std::move(answer));  // The last: it may destroy the client.
  }

  env::EventLoop& loop;
  const Options options;
  env::SeededRandom random;
  uint64_t last = 0;
  std::map<uint64_t, Job> jobs;  // In progress, by number.
  std::deque<Job> waiting;
  DnsCounters counters;
};

DnsClient::DnsClient(env::EventLoop& loop, Options options, uint64_t seed,
                     const DnsCounters& counters)
    : state_(std::make_shared<State>(loop, std::move(options), seed, counters)) {}

const DnsCounters& DnsClient::counters() const { return state_->counters; }

DnsClient::~DnsClient() {
  state_->jobs.clear();
  state_->waiting.clear();
}

void DnsClient::Ask(std::string name, DnsType type, Function<void(Result<DnsAnswer>)> done) {
  State::Job job{{0, std::move(name), type}, 0, {}, std::move(done)};
  if (const auto question = WriteDnsQuestion(job.question); !question.ok()) {
    state_->loop.Defer([weak = std::weak_ptr(state_), why = question.status(),
                        done = std::move(job.done)]() mutable {
      if (!weak.expired()) done(std::move(why));
    });
    return;
  }
  state_->waiting.push_back(std::move(job));
  state_->AskWaiting();
}

}  // namespace tepal::discovery
