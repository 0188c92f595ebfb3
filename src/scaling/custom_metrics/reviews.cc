#include "scaling/custom_metrics/reviews.h"

#include <set>
#include <utility>

#include "core/base/text.h"

namespace tepal::custom_metrics {

struct Reviews::State : std::enable_shared_from_this<State> {
  struct Question {
    kube::Collection kind;
    std::string object;
    Function<void(Result<json::Value>)> done;
    Instant give_up;
    Duration wait;
  };

  State(env::EventLoop& on_loop, kube::Client& with_client, Options with)
      : loop(on_loop), client(with_client), options(with) {}

  void Send(std::shared_ptr<Question> question) {
    client.Create(question->kind, question->object,
                  [weak = weak_from_this(), question](kube::Answer answer) {
                    if (const auto self = weak.lock()) self->OnAnswer(question, std::move(answer));
                  });
  }

  void OnAnswer(const std::shared_ptr<Question>& question, kube::Answer answer) {
    if (answer.ok()) {
      const json::Value* const status = answer.body.Find("status");
      if (status != nullptr && status->AsObject() != nullptr) return question->done(*status);
      return question->done(Unavailable("the API server's review has no status"));
    }
    const bool passing =
        answer.http_status == 0 || answer.http_status == 429 || answer.http_status >= 500;
    const Duration wait = std::exchange(question->wait, question->wait * 2);
    if (passing && loop.Now() + wait < question->give_up) {
      const auto timer = std::make_shared<env::EventLoop::TimerId>();
      *timer = loop.RunAfter(wait, [weak = weak_from_this(), question, timer] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->timers.erase(*timer);
        self->Send(question);
      });
      timers.insert(*timer);
      return;
    }
    question->done(Unavailable(Concat("asking the API server (", question->kind.resource.plural,
                                      "): ", answer.status.message())));
  }

  env::EventLoop& loop;
  kube::Client& client;
  const Options options;
  std::set<env::EventLoop::TimerId> timers;
};

Reviews::Reviews(env::EventLoop& loop, kube::Client& client, Options options)
    : state_(std::make_shared<State>(loop, client, options)) {}

Reviews::~Reviews() {
  for (const env::EventLoop::TimerId timer : state_->timers) state_->loop.Cancel(timer);
}

void Reviews::Ask(const kube::Collection& kind, std::string object,
                  Function<void(Result<json::Value>)> done) {
  auto question = std::make_shared<State::Question>(
      State::Question{kind, std::move(object), std::move(done),
                      state_->loop.Now() + state_->options.time_max, state_->options.retry_first});
  state_->Send(std::move(question));
}

}  // namespace tepal::custom_metrics
