// What the scheduler itself costs a request: nanoseconds from Enqueue to the answer, with instances
// that answer at once. The price of making and freeing the request is measured too and shown.

#include <cstdio>

#include "serving/scheduling/fakes_test.h"
#include "serving/scheduling/model_scheduler.h"

namespace tepal {
namespace {

constexpr int kRequests = 400'000;

struct NullSink final : ResponseSink {
  void OnResponse(std::unique_ptr<InferenceResponse>, bool) override {}
};

std::unique_ptr<InferenceRequest> Request(const std::shared_ptr<ResponseSink>& sink) {
  auto request = std::make_unique<InferenceRequest>();
  InputTensor& input = request->inputs.emplace_back();
  input.name = "INPUT0";
  input.type = DataType::kFp32;
  input.shape = {1, 16};
  request->sink = sink;
  return request;
}

template <typename Work>
double NanosecondsEach(Work work) {
  const FakeClock clock;
  const Instant begin = clock.Now();
  for (int i = 0; i < kRequests; ++i) work();
  return static_cast<double>((clock.Now() - begin).count()) / kRequests;
}

double Inline(BatcherOptions batching) {
  FakeWorld world;
  FakeExecutor executor(true);
  auto scheduler = *ModelScheduler::Start({"m", std::move(batching), false}, {&executor},
                                          std::make_shared<ModelStatistics>(),
                                          {world.clock, world.threads, *world.timekeeper});
  const auto sink = std::make_shared<NullSink>();
  return NanosecondsEach([&] { (void)scheduler->Enqueue(Request(sink)); });
}

double Batcher() {
  BatcherOptions options;
  options.batches = options.shares_batches = true;
  options.batch_rows_max = 8;
  options.queue_delay_max = 1ms;
  DynamicBatcher batcher(options);
  const auto sink = std::make_shared<NullSink>();
  Instant now{};
  return NanosecondsEach([&] {
    now += 1us;
    (void)batcher.Enqueue(Request(sink), now);
    (void)batcher.PopDue(now);
  });
}

void Print(const char* what, double nanoseconds) {
  std::printf("%-48s %8.0f ns\n", what, nanoseconds);
}

}  // namespace
}  // namespace tepal

int main() {
  using namespace tepal;
  const auto sink = std::make_shared<NullSink>();
  BatcherOptions sharing;
  sharing.batches = sharing.shares_batches = true;
  sharing.batch_rows_max = 8;
  Print("request made and answered, no scheduler", NanosecondsEach([&] {
          Batch batch;
          batch.push_back(Request(sink));
          AnswerAll(std::move(batch));
        }));
  Print("inline instance, default scheduler", Inline({}));
  Print("inline instance, dynamic batching", Inline(sharing));
  Print("batcher alone, batches of 8", Batcher());
}
