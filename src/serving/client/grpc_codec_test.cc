// The client's messages against the server's own reader and writer.

#include "serving/client/grpc_codec.h"

#include <gtest/gtest.h>

#include "serving/kserve/grpc_infer.h"
#include "serving/kserve/proto_writer.h"

namespace tepal::client {
namespace {

template <typename Fill>
Buffer Message(Fill&& fill) {
  kserve::ByteWriter bytes(64);
  kserve::ProtoWriter out(bytes);
  fill(out);
  return bytes.Take();
}

TEST(GrpcCodec, AServerReadsWhatIsWritten) {
  InferCall call{"m", {}, {}};
  call.inputs.push_back({"a", DataType::kInt8, {1, 3}, Buffer::Copy("abc")});
  call.inputs.push_back({"b", DataType::kUint8, {0}, Buffer()});
  call.outputs.push_back({"y", 3});
  BufferList message = EncodeGrpcInfer(call);
  message.insert(message.begin(), EncodeGrpcInferId("00000007"));
  const Buffer flat = Flatten(message);

  const auto parsed = kserve::GrpcInferRequest::Parse(flat);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->model_name(), "m");
  InferenceRequest request;
  kserve::AnswerForm form;
  const Status filled = parsed->Fill(request, form);
  ASSERT_TRUE(filled.ok()) << filled.message();
  ASSERT_EQ(request.inputs.size(), 2u);
  EXPECT_EQ(request.inputs[0].name, "a");
  EXPECT_EQ(request.inputs[0].shape, (Shape{1, 3}));
  EXPECT_EQ(Flatten(request.inputs[0].data).text(), "abc");
  EXPECT_EQ(request.inputs[1].type, DataType::kUint8);
  EXPECT_EQ(request.id, "00000007");
  ASSERT_NE(form.Find("y"), nullptr);
  EXPECT_EQ(form.Find("y")->classes, 3u);
}

TEST(GrpcCodec, ReadsWhatAServerWrites) {
  InferenceResponse response;
  response.model_name = "m";
  response.model_version = 3;
  response.id = "abc";
  response.outputs.push_back({"y", DataType::kInt8, {1, 2}, Buffer::Copy("hi")});
  response.outputs.push_back({"z", DataType::kFp32, {0}, Buffer()});
  kserve::ClassLabels none;
  const auto written = kserve::WriteGrpcInferResponse(response, {}, false, none);
  ASSERT_TRUE(written.ok());
  const Buffer message = Flatten(*written);
  const auto answer = DecodeGrpcInfer(message);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->model_version, "3");
  ASSERT_EQ(answer->outputs.size(), 2u);
  EXPECT_EQ(answer->outputs[0].shape, (Shape{1, 2}));
  EXPECT_EQ(answer->outputs[0].data.text(), "hi");
  EXPECT_EQ(answer->outputs[1].type, DataType::kFp32);

  const Buffer streamed = Message([&](kserve::ProtoWriter& out) { out.Bytes(2, message.text()); });
  const auto one = DecodeStreamAnswer(streamed);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->error, "");
  EXPECT_EQ(one->id, "abc");
  EXPECT_EQ(one->response.text(), message.text());
  for (size_t cut = 1; cut < message.size(); ++cut) {
    (void)DecodeGrpcInfer(message.Slice(0, cut));  // Whatever comes of it, it comes to an end.
  }
  EXPECT_FALSE(DecodeGrpcInfer(message.Slice(0, message.size() - 1)).ok());
}

TEST(GrpcCodec, ReadsMetadataLimitsAndStatistics) {
  const auto model = DecodeGrpcMetadata(Message([](kserve::ProtoWriter& out) {
    out.Text(1, "m");
    out.Text(2, "1");
    out.Text(3, "platform");
    out.Message(4, [](kserve::ProtoWriter& input) {
      input.Text(1, "x");
      input.Text(2, "FP32");
      input.Int(3, -1);
      input.Int(3, 16);
    });
  }));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->platform, "platform");
  ASSERT_EQ(model->inputs.size(), 1u);
  EXPECT_EQ(model->inputs[0].shape, (Shape{-1, 16}));

  const auto limits = DecodeGrpcLimits(Message([](kserve::ProtoWriter& out) {
    out.Message(1, [](kserve::ProtoWriter& config) {
      config.Text(1, "m");
      config.Int(4, 8);
      config.Message(19, [](kserve::ProtoWriter& policy) { policy.Bool(1, true); });
    });
  }));
  ASSERT_TRUE(limits.ok());
  EXPECT_EQ(limits->max_batch_size, 8);
  EXPECT_TRUE(limits->decoupled);

  const auto statistics = DecodeGrpcStatistics(Message([](kserve::ProtoWriter& out) {
    for (int version = 0; version < 2; ++version) {
      out.Message(1, [](kserve::ProtoWriter& one) {
        one.Int(4, 10);
        one.Int(5, 2);
        one.Message(6, [](kserve::ProtoWriter& totals) {
          totals.Message(3, [](kserve::ProtoWriter& queue) {
            queue.Int(1, 5);
            queue.Int(2, 500);
          });
        });
      });
    }
  }));
  ASSERT_TRUE(statistics.ok());
  EXPECT_EQ(statistics->inference_count, 20u);
  EXPECT_EQ(statistics->execution_count, 4u);
  EXPECT_EQ(statistics->queue.count, 10u);
  EXPECT_EQ(statistics->queue.ns, 1000u);
}

}  // namespace
}  // namespace tepal::client
