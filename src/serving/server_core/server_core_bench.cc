// What the engine costs a request, doors and backend left out: nanoseconds from Infer to the answer
// of an inline instance that answers at once. Validation, lookup and scheduling are in it.

#include <cstdio>

#include "serving/lifecycle/fakes_test.h"
#include "serving/server_core/core_impl.h"

namespace tepal {
namespace {

constexpr int kRequests = 400'000;

class NoFiles final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t) override { return NotFound(path); }
  Result<std::vector<Entry>> List(const std::string& path) override { return NotFound(path); }
  Result<Facts> Stat(const std::string& path) override { return NotFound(path); }
  Status Replace(const std::string& path, std::string_view) override { return NotFound(path); }
  Status MakeDirectories(const std::string& path) override { return NotFound(path); }
  Status Remove(const std::string& path) override { return NotFound(path); }
};

struct NullSink final : ResponseSink {
  void OnResponse(std::unique_ptr<InferenceResponse>, bool) override {}
};

std::unique_ptr<InferenceRequest> Request(const std::shared_ptr<ResponseSink>& sink,
                                          const Buffer& data) {
  auto request = std::make_unique<InferenceRequest>();
  request->model_name = "add_sub";
  request->sink = sink;
  request->inputs.resize(2);
  for (size_t i = 0; i < 2; ++i) {
    InputTensor& input = request->inputs[i];
    input.name = i == 0 ? "INPUT0" : "INPUT1";
    input.type = DataType::kFp32;
    input.shape = {4};
    input.data.push_back(data);
  }
  return request;
}

template <typename Work>
void Print(const char* what, Work work) {
  const FakeClock clock;
  const Instant begin = clock.Now();
  for (int i = 0; i < kRequests; ++i) work();
  std::printf("%-48s %8.0f ns\n", what,
              static_cast<double>((clock.Now() - begin).count()) / kRequests);
}

int Main() {
  FakeClock clock;
  FakeThreads threads;
  NoFiles files;
  FakeLoaderState loader;
  auto repository = std::make_shared<FakeRepositoryState>();
  (*repository->models.Lock())["add_sub"] = {AddSubConfig("add_sub"), {1}, 1, {}};
  auto core = NewServerCoreOver({}, std::make_unique<FakeRepository>(repository),
                                std::make_unique<FakeLoader>(loader), {clock, files, threads});
  if (!core.ok()) {
    std::fprintf(stderr, "%s\n", core.status().ToString().c_str());
    return 1;
  }
  const auto sink = std::make_shared<NullSink>();
  const Buffer data = Buffer::Copy(std::string(16, '\0'));
  Print("request made and answered, no engine", [&] {
    Batch batch;
    batch.push_back(Request(sink, data));
    AnswerAll(std::move(batch));
  });
  Print("through the engine", [&] {
    if (!(*core)->Infer(Request(sink, data)).ok()) std::abort();
  });
  return 0;
}

}  // namespace
}  // namespace tepal

int main() { return tepal::Main(); }
