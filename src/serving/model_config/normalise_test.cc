#include "serving/model_config/normalise.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

ConfigDraft Parsed(std::string_view text) {
  Result<ConfigDraft> draft = ParseConfigText(text);
  EXPECT_TRUE(draft.ok()) << draft.status().message();
  return draft.ok() ? *std::move(draft) : ConfigDraft();
}

struct BackendCase {
  const char* text;
  std::vector<std::string> files;
  const char* backend;
  const char* platform;
  const char* filename;
};

TEST(CompleteBackendTest, EachNameTellsTheOthers) {
  const BackendCase cases[] = {
      {"backend: \"onnxruntime\"", {}, "onnxruntime", "onnxruntime_onnx", "model.onnx"},
      {"platform: \"onnxruntime_onnx\"", {}, "onnxruntime", "onnxruntime_onnx", "model.onnx"},
      {"default_model_filename: \"model.onnx\"",
       {},
       "onnxruntime",
       "onnxruntime_onnx",
       "model.onnx"},
      {"", {"model.onnx"}, "onnxruntime", "onnxruntime_onnx", "model.onnx"},
      {"", {"other", "model.pt"}, "pytorch", "pytorch_libtorch", "model.pt"},
      {"", {"model.py"}, "python", "", "model.py"},
      {"", {"model.bin", "model.xml"}, "openvino", "", "model.xml"},
      {"", {"model.plan", "model.onnx"}, "tensorrt", "tensorrt_plan", "model.plan"},
      {"backend: \"onnxruntime\" default_model_filename: \"m.onnx\"",
       {},
       "onnxruntime",
       "onnxruntime_onnx",
       "m.onnx"},
      {"backend: \"identity\"", {"model.onnx"}, "identity", "", ""},
      {"platform: \"ensemble\"", {"model.onnx"}, "", "ensemble", ""},
  };
  for (const BackendCase& c : cases) {
    ConfigDraft draft = Parsed(c.text);
    ASSERT_TRUE(CompleteBackend(draft, "m", c.files).ok()) << c.text;
    const ModelConfigPtr config = FinishConfig(draft);
    EXPECT_EQ(config->name, "m");
    EXPECT_EQ(config->backend, c.backend) << c.text;
    EXPECT_EQ(config->platform, c.platform) << c.text;
    EXPECT_EQ(config->default_model_filename, c.filename) << c.text;
  }
}

TEST(CompleteBackendTest, AtLastTheModelsName) {
  ConfigDraft draft;
  ASSERT_TRUE(CompleteBackend(draft, "model.identity", {}).ok());
  EXPECT_EQ(FinishConfig(draft)->backend, "identity");
  EXPECT_EQ(FinishConfig(draft)->default_model_filename, "model.identity");
  ConfigDraft hopeless;
  EXPECT_EQ(CompleteBackend(hopeless, "tulip", {}).message(),
            "Invalid model name: Could not determine backend for model 'tulip' with no backend in "
            "model configuration. Expected model name of the form 'model.<backend_name>'.");
}

TEST(NormaliseTest, FillsPolicies) {
  ConfigDraft draft = Parsed("max_batch_size: 8 dynamic_batching {}");
  Normalise(draft);
  const ModelConfigPtr config = FinishConfig(draft);
  EXPECT_EQ(config->dynamic_batching->preferred_batch_size, std::vector<int32_t>{8});
  EXPECT_NE(config->json.find(R"("version_policy":{"latest":{"num_versions":1}})"),
            std::string::npos);
  EXPECT_NE(config->json.find(R"("input_pinned_memory":{"enable":true})"), std::string::npos);
  ConfigDraft kept = Parsed(
      "max_batch_size: 8 dynamic_batching { preferred_batch_size: 2 } version_policy { all {} }"
      " optimization { input_pinned_memory { enable: false } }");
  Normalise(kept);
  const ModelConfigPtr other = FinishConfig(kept);
  EXPECT_EQ(other->dynamic_batching->preferred_batch_size, std::vector<int32_t>{2});
  EXPECT_EQ(other->version_policy.kind, VersionPolicy::Kind::kAll);
  EXPECT_FALSE(other->input_pinned_memory);
  EXPECT_TRUE(other->output_pinned_memory);
}

std::vector<InstanceGroup> GroupsOf(std::string_view text, const InstancePlacement& placement) {
  ConfigDraft draft = Parsed(text);
  NormaliseInstanceGroups(draft, placement);
  return FinishConfig(draft)->instance_groups;
}

TEST(NormaliseInstanceGroupsTest, WithoutGpus) {
  const auto none = GroupsOf("name: \"m\"", {});
  ASSERT_EQ(none.size(), 1u);
  EXPECT_EQ(none[0].name, "m");
  EXPECT_EQ(none[0].kind, InstanceGroup::Kind::kCpu);
  EXPECT_EQ(none[0].count, 1);
  const auto two = GroupsOf(
      "name: \"m\" backend: \"onnxruntime\" instance_group [ {}, { count: 5 kind: KIND_CPU },"
      " { name: \"x\" kind: KIND_MODEL } ]",
      {});
  ASSERT_EQ(two.size(), 3u);
  EXPECT_EQ(two[0].name, "m_0");
  EXPECT_EQ(two[0].kind, InstanceGroup::Kind::kCpu);
  EXPECT_EQ(two[0].count, 2);
  EXPECT_EQ(two[1].name, "m_1");
  EXPECT_EQ(two[1].count, 5);
  EXPECT_EQ(two[2].name, "x");
  EXPECT_EQ(two[2].kind, InstanceGroup::Kind::kModel);
  EXPECT_EQ(two[2].count, 1);
  EXPECT_TRUE(GroupsOf("platform: \"ensemble\" ensemble_scheduling {}", {}).empty());
}

TEST(NormaliseInstanceGroupsTest, WithGpus) {
  const InstancePlacement placement{.gpus = {0, 1}, .preferred = {}};
  const auto all = GroupsOf("name: \"m\"", placement);
  EXPECT_EQ(all[0].kind, InstanceGroup::Kind::kGpu);
  EXPECT_EQ(all[0].gpus, (std::vector<int32_t>{0, 1}));
  const auto one = GroupsOf("instance_group { gpus: 1 }", placement);
  EXPECT_EQ(one[0].kind, InstanceGroup::Kind::kGpu);
  EXPECT_EQ(one[0].gpus, std::vector<int32_t>{1});
  const auto absent = GroupsOf("instance_group { gpus: 7 }", placement);
  EXPECT_EQ(absent[0].kind, InstanceGroup::Kind::kCpu);
}

TEST(NormaliseInstanceGroupsTest, BackendOfTheCpuAloneIsNotPutOnAGpu) {
  InstanceGroup cpu;
  cpu.kind = InstanceGroup::Kind::kCpu;
  const InstancePlacement placement{.gpus = {0}, .preferred = {cpu}};
  EXPECT_EQ(GroupsOf("name: \"m\"", placement)[0].kind, InstanceGroup::Kind::kCpu);
  EXPECT_EQ(GroupsOf("instance_group { count: 2 }", placement)[0].kind, InstanceGroup::Kind::kCpu);
  EXPECT_EQ(GroupsOf("instance_group { kind: KIND_GPU }", placement)[0].kind,
            InstanceGroup::Kind::kGpu);
}

TEST(NormaliseInstanceGroupsTest, ListensToTheBackend) {
  InstanceGroup preferred;
  preferred.kind = InstanceGroup::Kind::kCpu;
  preferred.count = 3;
  const InstancePlacement placement{.gpus = {}, .preferred = {preferred}};
  EXPECT_EQ(GroupsOf("name: \"m\"", placement)[0].count, 3);
  EXPECT_EQ(GroupsOf("instance_group { kind: KIND_CPU }", placement)[0].count, 3);
  EXPECT_EQ(GroupsOf("instance_group { kind: KIND_CPU count: 2 }", placement)[0].count, 2);
  InstanceGroup gpu;
  gpu.kind = InstanceGroup::Kind::kGpu;
  gpu.count = 4;
  gpu.gpus = {1, 9};
  const auto groups = GroupsOf("name: \"m\"", {.gpus = {0, 1}, .preferred = {gpu}});
  EXPECT_EQ(groups[0].gpus, std::vector<int32_t>{1});
  EXPECT_EQ(groups[0].count, 4);
  EXPECT_EQ(GroupsOf("name: \"m\"", {.gpus = {}, .preferred = {gpu}})[0].kind,
            InstanceGroup::Kind::kCpu);
}

}  // namespace
}  // namespace tepal
