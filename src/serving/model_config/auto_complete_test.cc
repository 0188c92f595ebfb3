#include "serving/model_config/auto_complete.h"

#include <gtest/gtest.h>

#include "serving/model_config/normalise.h"

namespace tepal {
namespace {

ConfigDraft Parsed(std::string_view text) {
  Result<ConfigDraft> draft = ParseConfigText(text);
  EXPECT_TRUE(draft.ok()) << draft.status().message();
  return draft.ok() ? *std::move(draft) : ConfigDraft();
}

const ModelReport kBatching = {
    .inputs = {{"x", DataType::kFp32, {-1, 784}}},
    .outputs = {{"y", DataType::kFp32, {-1, 10}}, {"label", DataType::kInt64, {-1}}}};
const ModelReport kFixed = {.inputs = {{"x", DataType::kFp32, {4}}},
                            .outputs = {{"y", DataType::kFp32, {4}}}};

ModelConfigPtr Completed(std::string_view text, const ModelReport& report, int32_t batch_max = 4) {
  ConfigDraft draft = Parsed(text);
  const Status status = AutoComplete(draft, report, batch_max);
  EXPECT_TRUE(status.ok()) << status.message();
  return FinishConfig(draft);
}

std::string Refused(std::string_view text, const ModelReport& report) {
  ConfigDraft draft = Parsed(text);
  const Status status = AutoComplete(draft, report);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << text;
  return status.message();
}

TEST(AutoCompleteTest, FillsEverythingOfAModelThatBatches) {
  const ModelConfigPtr config = Completed("name: \"m\"", kBatching);
  EXPECT_EQ(config->max_batch_size, 4);
  ASSERT_TRUE(config->dynamic_batching.has_value());
  ASSERT_EQ(config->inputs.size(), 1u);
  EXPECT_EQ(config->inputs[0].dims, Shape{784});
  EXPECT_EQ(config->inputs[0].type, DataType::kFp32);
  ASSERT_EQ(config->outputs.size(), 2u);
  EXPECT_EQ(config->outputs[1].name, "label");
  EXPECT_EQ(config->outputs[1].type, DataType::kInt64);
  EXPECT_EQ(config->outputs[1].dims, Shape{1});
  EXPECT_EQ(config->outputs[1].reshape, Shape{});
}

TEST(AutoCompleteTest, KeepsTheChosenBatching) {
  EXPECT_EQ(Completed("max_batch_size: 16", kBatching)->max_batch_size, 16);
  EXPECT_FALSE(Completed("max_batch_size: 16", kBatching)->dynamic_batching.has_value());
  const ModelConfigPtr sequences = Completed("sequence_batching {}", kBatching);
  EXPECT_EQ(sequences->max_batch_size, 4);
  EXPECT_FALSE(sequences->dynamic_batching.has_value());
  EXPECT_FALSE(Completed("", kBatching, 1)->dynamic_batching.has_value());
  EXPECT_EQ(Completed("", kBatching, 1)->max_batch_size, 1);
  EXPECT_EQ(Completed("", kBatching, 0)->max_batch_size, 0);
}

TEST(AutoCompleteTest, FullDimsMeanNoBatching) {
  const ModelConfigPtr config =
      Completed("input { name: \"x\" data_type: TYPE_FP32 dims: [ -1, 784 ] }", kBatching);
  EXPECT_EQ(config->max_batch_size, 0);
  EXPECT_EQ(config->FindOutput("y")->dims, (Shape{-1, 10}));
  const ModelConfigPtr batched =
      Completed("input { name: \"x\" data_type: TYPE_FP32 dims: [ 784 ] }", kBatching);
  EXPECT_EQ(batched->max_batch_size, 4);
}

TEST(AutoCompleteTest, FillsWhatATensorLeavesOut) {
  const ModelConfigPtr config =
      Completed("output { name: \"y\" label_filename: \"labels.txt\" }", kBatching);
  ASSERT_EQ(config->outputs.size(), 1u);  // It serves one of the two outputs.
  EXPECT_EQ(config->outputs[0].dims, Shape{10});
  EXPECT_EQ(config->outputs[0].label_filename, "labels.txt");
}

TEST(AutoCompleteTest, AFixedModelDoesNotBatch) {
  const ModelConfigPtr config = Completed("", kFixed);
  EXPECT_EQ(config->max_batch_size, 0);
  EXPECT_FALSE(config->dynamic_batching.has_value());
  EXPECT_EQ(config->inputs[0].dims, Shape{4});
  EXPECT_EQ(Refused("name: \"m\" max_batch_size: 2", kFixed),
            "autofill failed for model 'm': model does not support batching while non-zero "
            "max_batch_size is specified");
}

TEST(AutoCompleteTest, RefusesContradictions) {
  EXPECT_EQ(Refused("name: \"m\" input { name: \"X\" }", kBatching),
            "unexpected inference input 'X', allowed inputs are: x for model 'm'");
  EXPECT_EQ(Refused("name: \"m\" input { name: \"x\" data_type: TYPE_INT32 }", kBatching),
            "model 'm', tensor 'x': the model has data type FP32 but the model configuration "
            "specifies TYPE_INT32");
  EXPECT_EQ(
      Refused("name: \"m\" max_batch_size: 4 input { name: \"x\" dims: [ 28, 28 ] }", kBatching),
      "model 'm', tensor 'x': the model expects 2 dimensions (shape [-1,784]) but the model "
      "configuration specifies 3 dimensions (an initial batch dimension because "
      "max_batch_size > 0 followed by the explicit tensor shape, making complete shape "
      "[-1,28,28])");
  EXPECT_NE(Refused("max_batch_size: 4 input { name: \"x\" dims: [ 10 ] }", kBatching), "");
}

TEST(AutoCompleteTest, ComparesTheReshape) {
  const ModelConfigPtr config = Completed(
      "max_batch_size: 4 input { name: \"x\" dims: [ 28, 28 ] reshape { shape: 784 } }", kBatching);
  EXPECT_EQ(config->inputs[0].dims, (Shape{28, 28}));
}

TEST(AutoCompleteTest, ScalarsWithoutBatchGetOneElement) {
  const ModelReport report = {.inputs = {{"x", DataType::kFp32, {}}},
                              .outputs = {{"y", DataType::kFp32, {}}}};
  EXPECT_FALSE(CanBatch(report));
  EXPECT_EQ(Completed("", report)->inputs[0].dims, Shape{1});
}

}  // namespace
}  // namespace tepal
