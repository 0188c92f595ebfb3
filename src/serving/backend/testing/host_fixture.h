// What the tests of this room share: a clock, a sink, and models on the test plugins of backends/.

#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/json/writer.h"
#include "serving/backend/backend_instance.h"

namespace tepal::testing {

// Every look at the clock costs one microsecond.
class TickingClock : public env::Clock {
 public:
  Instant Now() const override { return Instant(Duration(1000 * ++ticks_)); }
  WallTime WallNow() const override { return WallTime(1s); }

 private:
  mutable std::atomic<int64_t> ticks_{1'000'000};
};

// Keeps what arrives. Thread-safe.
class CollectingSink : public ResponseSink {
 public:
  void OnResponse(std::unique_ptr<InferenceResponse> response, bool final) override {
    const std::lock_guard lock(mutex_);
    responses_.push_back(std::move(response));
    if (final) ++finals_;
    if (final && on_final_) on_final_();
  }
  Buffer OutputMemory(std::string_view, size_t) override { return std::exchange(memory_, {}); }

  std::vector<std::unique_ptr<InferenceResponse>>& responses() { return responses_; }
  int finals() {
    const std::lock_guard lock(mutex_);
    return finals_;
  }
  void GiveMemory(Buffer memory) { memory_ = std::move(memory); }
  void OnFinal(Function<void()> on_final) { on_final_ = std::move(on_final); }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<InferenceResponse>> responses_;
  int finals_ = 0;
  Buffer memory_;
  Function<void()> on_final_;
};

inline std::string PluginDirectory() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../lib/tepal/backends")
      .lexically_normal()
      .string();
}

// A configuration with `tensors` inputs INPUTn and outputs OUTPUTn of FP32.
inline std::shared_ptr<ModelConfig> Config(const std::string& backend, int tensors,
                                           const std::map<std::string, std::string>& parameters) {
  auto config = std::make_shared<ModelConfig>();
  config->name = "m";
  config->backend = backend;
  config->parameters = parameters;
  json::Writer writer;
  writer.BeginObject().Key("name").String("m").Key("max_batch_size").Int(0);
  for (const std::string direction : {"INPUT", "OUTPUT"}) {
    writer.Key(direction == "INPUT" ? "input" : "output").BeginArray();
    for (int i = 0; i < tensors; ++i) {
      const std::string name = direction + std::to_string(i);
      writer.BeginObject().Key("name").String(name).EndObject();
      if (direction == "INPUT") {
        config->inputs.emplace_back().name = name;
        config->inputs.back().dims = {-1};
      } else {
        config->outputs.emplace_back().name = name;
        config->outputs.back().dims = {-1};
      }
    }
    writer.EndArray();
  }
  writer.Key("parameters").BeginObject();
  for (const auto& [key, value] : parameters) {
    writer.Key(key).BeginObject().Key("string_value").String(value).EndObject();
  }
  writer.EndObject().EndObject();
  config->json = writer.Take();
  return config;
}

class HostFixture : public ::testing::Test {
 protected:
  std::unique_ptr<BackendInstance> Instance(const ModelConfigPtr& config,
                                            InstanceGroup::Kind kind = InstanceGroup::Kind::kCpu,
                                            SlabSource* results = nullptr) {
    auto library = manager_.Get(config->backend, {});
    EXPECT_TRUE(library.ok()) << library.status().ToString();
    if (!library.ok()) return nullptr;
    BackendModel::Options options;
    options.library = *library;
    options.config = config;
    options.directory = "/models/m";
    options.clock = &clock_;
    options.results = results;
    options.statistics = statistics_;
    auto model = BackendModel::Load(std::move(options));
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    if (!model.ok()) return nullptr;
    BackendInstance::Options instance_options;
    instance_options.name = "m_0_0";
    instance_options.kind = kind;
    auto instance = BackendInstance::Create(*std::move(model), instance_options);
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    return instance.ok() ? *std::move(instance) : nullptr;
  }

  // A request with one FP32 input for each of `values`, shaped [n].
  std::unique_ptr<InferenceRequest> Request(const std::vector<std::vector<float>>& values) {
    auto request = std::make_unique<InferenceRequest>();
    request->model_name = "m";
    request->id = "42";
    request->sink = sink_;
    request->times.received = request->times.queued = clock_.Now();
    for (const std::vector<float>& value : values) {
      InputTensor& input = request->inputs.emplace_back();
      input.name = "INPUT" + std::to_string(request->inputs.size() - 1);
      input.type = DataType::kFp32;
      input.shape = {static_cast<int64_t>(value.size())};
      input.data = {Buffer::Copy(
          {reinterpret_cast<const char*>(value.data()), value.size() * sizeof(float)})};
    }
    return request;
  }

  void Execute(BackendInstance& instance, std::unique_ptr<InferenceRequest> request) {
    Batch batch;
    batch.push_back(std::move(request));
    instance.Execute(std::move(batch));
  }

  static std::vector<float> Floats(const OutputTensor& output) {
    std::vector<float> values(output.data.size() / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), output.data.data(), output.data.size());
    return values;
  }

  TickingClock clock_;
  std::shared_ptr<ModelStatistics> statistics_ = std::make_shared<ModelStatistics>();
  std::shared_ptr<CollectingSink> sink_ = std::make_shared<CollectingSink>();
  BackendManager manager_{{{PluginDirectory()}, {}, true}};
};

}  // namespace tepal::testing
