// What one request costs in the host: an inline identity backend, batches of one, no transport.
//
//   backend_instance_bench [requests]
//
// Prints the time of a request through the plugin and, for the floor, of a request that is only
// made, answered and freed.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "serving/backend/backend_instance.h"

namespace {

using namespace tepal;  // NOLINT

class MonotonicClock : public env::Clock {
 public:
  Instant Now() const override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() const override { return std::chrono::system_clock::now(); }
};

class DroppingSink : public ResponseSink {
 public:
  void OnResponse(std::unique_ptr<InferenceResponse> response, bool) override {
    bytes += response->outputs.empty() ? 0 : response->outputs[0].data.size();
  }
  size_t bytes = 0;
};

constexpr size_t kTensorBytes = 64;

std::unique_ptr<InferenceRequest> MakeRequest(const std::shared_ptr<ResponseSink>& sink,
                                              const Buffer& data) {
  auto request = std::make_unique<InferenceRequest>();
  request->model_name = "cpp_identity";
  request->sink = sink;
  InputTensor& input = request->inputs.emplace_back();
  input.name = "INPUT0";
  input.type = DataType::kFp32;
  input.shape = {1, 16};
  input.data.push_back(data);
  return request;
}

template <typename Each>
double NanosecondsEach(int requests, Each each) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < requests; ++i) each();
  const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
  return spent.count() / requests;
}

std::unique_ptr<BackendInstance> LoadIdentity(const MonotonicClock& clock) {
  auto config = std::make_shared<ModelConfig>();
  config->name = "cpp_identity";
  config->max_batch_size = 64;
  config->outputs.emplace_back().name = "OUTPUT0";
  config->json =
      R"({"name":"cpp_identity","max_batch_size":64,"input":[{"name":"INPUT0"}],"output":[{"name":"OUTPUT0"}]})";
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  BackendManager manager({{(program / "../lib/tepal/backends").string()}, {}, true});
  auto library = manager.Get("identity", {});
  if (!library.ok()) {
    std::fprintf(stderr, "%s\n", library.status().ToString().c_str());
    std::exit(1);
  }
  BackendModel::Options options;
  options.library = *library;
  options.config = config;
  options.clock = &clock;
  options.statistics = std::make_shared<ModelStatistics>();
  return *BackendInstance::Create(*BackendModel::Load(std::move(options)), {});
}

}  // namespace

int main(int argc, char** argv) {
  const int requests = argc > 1 ? std::atoi(argv[1]) : 500'000;
  const MonotonicClock clock;
  const auto instance = LoadIdentity(clock);
  const auto sink = std::make_shared<DroppingSink>();
  const Buffer data = Buffer::Allocate(kTensorBytes);
  const double floor = NanosecondsEach(requests, [&] {
    auto request = MakeRequest(sink, data);
    auto response = std::make_unique<InferenceResponse>();
    request->sink->OnResponse(std::move(response), true);
  });
  const double whole = NanosecondsEach(requests, [&] {
    Batch batch;
    batch.push_back(MakeRequest(sink, data));
    instance->Execute(std::move(batch));
  });
  std::printf(
      "{\"bench\":\"backend_identity_inline\",\"requests\":%d,\"ns_per_request\":%.0f,"
      "\"floor_ns\":%.0f}\n",
      requests, whole, floor);
  return 0;
}
