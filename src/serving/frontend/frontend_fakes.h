// A server_core of two models, a loop that runs when told and a sender that remembers: for the
// tests of this room.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/env/clock.h"
#include "core/env/datagrams.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "network/http/stream.h"
#include "serving/server_core/server_core.h"

namespace tepal {

class FakeLoop final : public env::EventLoop {
 public:
  Instant Now() const override { return Instant(5s); }
  WallTime WallNow() const override { return {}; }
  void Post(env::Task task) override { tasks.push_back(std::move(task)); }
  void Defer(env::Task task) override { tasks.push_back(std::move(task)); }
  TimerId RunAt(Instant, env::Task task) override {
    timers[++last_timer] = std::move(task);
    return last_timer;
  }
  void Cancel(TimerId timer) override { timers.erase(timer); }
  bool InLoopThread() const override { return in_loop; }
  Result<std::unique_ptr<env::Listener>> Listen(
      const env::Address&, const env::ListenOptions&,
      Function<void(std::unique_ptr<env::Stream>)>) override {
    return Unimplemented("fake");
  }
  Result<std::unique_ptr<env::Listener>> ListenOn(
      int, Function<void(std::unique_ptr<env::Stream>)>) override {
    return Unimplemented("fake");
  }
  std::unique_ptr<Connecting> Connect(
      const env::Address&, Function<void(Result<std::unique_ptr<env::Stream>>)>) override {
    return nullptr;
  }
  Result<std::unique_ptr<env::DatagramSocket>> OpenDatagrams(const env::Address&,
                                                             Function<void()>) override {
    return Unimplemented("fake");
  }

  void RunAll() {
    while (!tasks.empty()) {
      env::Task task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }

  std::deque<env::Task> tasks;
  std::map<TimerId, env::Task> timers;
  TimerId last_timer = 0;
  bool in_loop = true;
};

class FakeClock final : public env::Clock {
 public:
  Instant Now() const override { return Instant(5s); }
  WallTime WallNow() const override { return WallTime(5s); }
};

class FakeExecutor final : public env::Executor {
 public:
  void Execute(Function<void()> task) override { task(); }
};

class FakeSender final : public http::ResponseSender {
 public:
  void Respond(http::ResponseHead head, BufferList body) override {
    ++answers;
    status = head.status;
    for (const auto field : head.headers) {
      headers[std::string(field.name)] = std::string(field.value);
    }
    pieces = std::move(body);
    text = std::string(Flatten(pieces).text());
  }
  void Start(http::ResponseHead head) override {
    started = true;
    Respond(std::move(head), {});
  }
  void Write(BufferList body) override {
    pieces.insert(pieces.end(), body.begin(), body.end());
    text = std::string(Flatten(pieces).text());
  }
  void Finish(const http::Headers* trailers) override {
    finished = true;
    for (size_t i = 0; trailers != nullptr && i < trailers->size(); ++i) {
      headers[std::string((*trailers)[i].name)] = std::string((*trailers)[i].value);
    }
  }
  void Interim(int) override {}
  void Reset(uint32_t) override {}
  void ResumeBody() override { ++resumed; }
  size_t unsent_bytes() const override { return unsent; }
  Budget* body_budget() const override { return budget; }

  // The whole answer is there.
  bool done() const { return finished || (answers > 0 && !started); }

  Budget* budget = nullptr;
  bool started = false;
  bool finished = false;
  int resumed = 0;
  size_t unsent = 0;
  int answers = 0;
  int status = 0;
  std::map<std::string, std::string> headers;
  BufferList pieces;
  std::string text;
};

class FakeModel final : public ServedModel {
 public:
  explicit FakeModel(std::string name, bool keeps_latencies = false)
      : statistics_(keeps_latencies) {
    config_.name = std::move(name);
    config_.inputs = {{.name = "X", .type = DataType::kFp32, .dims = {-1}, .reshape = {}}};
    config_.json = R"({"name":"echo"})";
  }
  const std::string& name() const override { return config_.name; }
  int64_t version() const override { return 1; }
  const ModelConfig& config() const override { return config_; }
  const ModelStatistics& statistics() const override { return statistics_; }
  std::string_view Label(std::string_view, size_t index) const override {
    return index == 1 ? "rose" : "";
  }
  bool runs_inline() const override { return true; }

  ModelConfig config_;
  ModelStatistics statistics_;
};

// Serves "echo", which answers with its input "X" as output "Y", and "stream", which is decoupled.
class FakeCore : public ServerCore {
 public:
  FakeCore() { stream->config_.decoupled = true; }

  bool Live() const override { return true; }
  bool Ready() const override { return ready; }
  void SetLameDuck() override { ready = false; }
  Result<std::shared_ptr<ServedModel>> Find(std::string_view model, int64_t version) override {
    if (model == "echo" && version <= 1) return std::shared_ptr<ServedModel>(echo);
    if (model == "stream") return std::shared_ptr<ServedModel>(stream);
    return NotFound("Request for unknown model: '" + std::string(model) + "' is not found");
  }
  Result<ModelMetadata> Metadata(std::string_view model, int64_t version) override {
    auto found = Find(model, version);
    if (!found.ok()) return found.status();
    ModelMetadata metadata;
    metadata.name = std::string(model);
    metadata.versions = {1};
    metadata.platform = "fake";
    metadata.inputs = {{"X", DataType::kFp32, {-1}}};
    metadata.outputs = {{"Y", DataType::kFp32, {-1}}};
    return metadata;
  }
  Status Infer(std::unique_ptr<InferenceRequest>&& request) override {
    if (request->FindInput("X") == nullptr) return InvalidArgument("no X");
    if (hold) {
      held.push_back(std::move(request));
      return {};
    }
    given = std::move(request);
    if (answer_at_once) AnswerGiven();
    return {};
  }
  void AnswerGiven() { Answer(std::move(given)); }
  static void Answer(std::unique_ptr<InferenceRequest> given) {
    auto response = std::make_unique<InferenceResponse>();
    response->id = given->id;
    response->model_name = given->model_name;
    response->model_version = 1;
    OutputTensor output;
    output.name = "Y";
    output.type = given->inputs.front().type;
    output.shape = given->inputs.front().shape;
    output.data = Flatten(given->inputs.front().data);
    response->outputs.push_back(std::move(output));
    std::shared_ptr<ResponseSink> sink = given->sink;
    given = nullptr;
    sink->OnResponse(std::move(response), true);
  }
  std::vector<std::shared_ptr<ServedModel>> Served(std::string_view model,
                                                   int64_t version) override {
    if ((model.empty() || model == "echo") && version <= 1) return {echo};
    return {};
  }
  Result<std::vector<ModelIndexEntry>> Index(bool ready_only) override {
    std::vector<ModelIndexEntry> entries = {{"echo", 1, "READY", ""}};
    if (!ready_only) entries.push_back({"old", 0, "UNAVAILABLE", "unloaded"});
    return entries;
  }
  Status Load(const std::string& model, const LoadOverride& overrides) override {
    loaded = model + "/" + overrides.config_json;
    return model == "bad" ? Unavailable(
                                "explicit model load / unload is not allowed if polling "
                                "is enabled")
                          : Status();
  }
  Status Unload(const std::string& model, bool dependents) override {
    loaded = "-" + model + (dependents ? "+" : "");
    return {};
  }
  int64_t in_flight() const override { return 3; }
  Status Stop(Duration) override { return {}; }

  std::shared_ptr<FakeModel> echo = std::make_shared<FakeModel>("echo");
  std::shared_ptr<FakeModel> stream = std::make_shared<FakeModel>("stream");
  bool ready = true;
  bool answer_at_once = true;
  std::unique_ptr<InferenceRequest> given;
  bool hold = false;  // Requests stay in `held` until a test answers them.
  std::vector<std::unique_ptr<InferenceRequest>> held;
  std::string loaded;
};

}  // namespace tepal
