#include "serving/kserve/grpc_infer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "serving/kserve/proto_reader.h"
#include "serving/kserve/proto_writer.h"

namespace tepal::kserve {
namespace {

template <typename Fill>
Buffer Message(Fill&& fill) {
  ByteWriter bytes(64);
  ProtoWriter out(bytes);
  fill(out);
  return bytes.Take();
}

// inputs { name: "X" datatype: type shape: [2] contents { … } }
template <typename Contents>
void WriteInput(ProtoWriter& out, std::string_view type, Contents&& contents) {
  out.Message(5, [&](ProtoWriter& input) {
    input.Text(1, "X");
    input.Text(2, type);
    input.Int(3, 2);
    input.Message(5, contents);
  });
}

template <typename Value>
void WriteParameter(ProtoWriter& out, std::string_view name, Value&& value) {
  out.Message(4, [&](ProtoWriter& entry) {
    entry.Text(1, name);
    entry.Message(2, value);
  });
}

Status FillFrom(const Buffer& message, InferenceRequest& request, AnswerForm& form) {
  const Result<GrpcInferRequest> parsed = GrpcInferRequest::Parse(message);
  return parsed.ok() ? parsed->Fill(request, form) : parsed.status();
}

std::string ErrorOf(const Buffer& message) {
  InferenceRequest request;
  AnswerForm form;
  return FillFrom(message, request, form).message();
}

TEST(GrpcInfer, RawTensorsAreViewsOfTheMessage) {
  const Buffer message = Message([](ProtoWriter& out) {
    out.Text(1, "m");
    out.Text(2, "7");
    out.Text(3, "42");
    WriteParameter(out, "timeout", [](ProtoWriter& value) { value.Int(2, 5); });
    WriteParameter(out, "sequence_id", [](ProtoWriter& value) { value.Bytes(3, "s"); });
    WriteParameter(out, "free", [](ProtoWriter& value) { value.Double(4, 1.5); });
    out.Message(5, [](ProtoWriter& input) {
      input.Text(1, "X");
      input.Text(2, "FP32");
      input.Bytes(3, std::string_view("\1\2", 2));  // Packed.
    });
    out.Message(6, [](ProtoWriter& output) {
      output.Text(1, "Y");
      output.Message(2, [](ProtoWriter& entry) {
        entry.Text(1, "classification");
        entry.Message(2, [](ProtoWriter& value) { value.Int(2, 3); });
      });
    });
    out.Bytes(7, "12345678");
  });
  const Result<GrpcInferRequest> parsed = GrpcInferRequest::Parse(message);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->model_name(), "m");
  EXPECT_EQ(parsed->model_version(), "7");
  InferenceRequest request;
  AnswerForm form;
  ASSERT_TRUE(parsed->Fill(request, form).ok());
  EXPECT_EQ(request.id, "42");
  EXPECT_EQ(request.timeout_us, 5u);
  EXPECT_EQ(request.correlation_text, "s");
  EXPECT_EQ(std::get<double>(request.parameters.at(0).value), 1.5);
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(request.inputs[0].type, DataType::kFp32);
  EXPECT_EQ(request.inputs[0].shape, (Shape{1, 2}));
  const Buffer& data = request.inputs[0].data.at(0);
  EXPECT_EQ(data.text(), "12345678");
  EXPECT_EQ(data.data(), message.data() + message.size() - 8);
  EXPECT_EQ(request.requested_outputs, (std::vector<std::string>{"Y"}));
  EXPECT_TRUE(form.binary);
  EXPECT_EQ(form.Find("Y")->classes, 3u);
}

TEST(GrpcInfer, ReadsTypedContents) {
  const auto data_of = [](std::string_view type, auto contents) {
    InferenceRequest request;
    AnswerForm form;
    const Status status = FillFrom(
        Message([&](ProtoWriter& out) { WriteInput(out, type, contents); }), request, form);
    EXPECT_TRUE(status.ok()) << status.message();
    return std::string(Flatten(request.inputs.at(0).data).text());
  };
  EXPECT_EQ(data_of("INT8", [](ProtoWriter& c) { c.Int(2, -1), c.Int(2, 5); }), "\xff\x05");
  EXPECT_EQ(data_of("UINT16", [](ProtoWriter& c) { c.Bytes(4, "\xff\xff\x03\x01"); }),
            std::string("\xff\xff\x01\x00", 4));
  EXPECT_EQ(data_of("BOOL", [](ProtoWriter& c) { c.Bool(1, true), c.Bool(1, false); }),
            std::string("\1\0", 2));
  EXPECT_EQ(data_of("FP32", [](ProtoWriter& c) { c.Bytes(6, "abcdefgh"); }), "abcdefgh");
  EXPECT_EQ(data_of("FP64", [](ProtoWriter& c) { c.Double(7, 0.0); }), std::string(8, '\0'));
  EXPECT_EQ(data_of("BYTES", [](ProtoWriter& c) { c.Bytes(8, "ab"), c.Bytes(8, ""); }),
            std::string("\2\0\0\0ab\0\0\0\0", 10));
}

TEST(GrpcInfer, SaysWhatTritonSays) {
  const auto fp32 = [](ProtoWriter& c) { c.Bytes(6, "abcdefgh"); };
  EXPECT_EQ(ErrorOf(Buffer::Copy("\xff\xff\xff")), "Unable to parse request");
  EXPECT_EQ(ErrorOf(Message([](ProtoWriter& out) {
              out.Text(1, "m");
              WriteInput(out, "FP32", [](ProtoWriter& c) { c.Int(2, 1); });
            })),
            "unexpected explicit tensor data for input tensor 'X' for model 'm' of type 'INT32', "
            "expected datatype 'FP32'");
  EXPECT_EQ(ErrorOf(Message([&](ProtoWriter& out) {
              out.Text(1, "m");
              WriteInput(out, "FP32", fp32);
              out.Bytes(7, "x");
            })),
            "contents field must not be specified when using raw_input_contents for 'X' for model "
            "'m'");
  EXPECT_EQ(ErrorOf(Message([](ProtoWriter& out) {
              out.Text(1, "m");
              out.Message(5, [](ProtoWriter& input) { input.Text(1, "X"); });
            })),
            "unable to find data for input tensor 'X' for model 'm' in request.");
  EXPECT_EQ(ErrorOf(Message([](ProtoWriter& out) {
              WriteParameter(out, "priority", [](ProtoWriter& value) { value.Int(2, -1); });
            })),
            "invalid value for 'priority', expected value >= 0.");
  EXPECT_EQ(ErrorOf(Message([](ProtoWriter& out) {
              out.Text(1, "m");
              WriteInput(out, "INT8", [](ProtoWriter& c) { c.Int(2, 128); });
            })),
            "a value of input 'X' for model 'm' does not fit INT8");
}

TEST(GrpcInfer, WritesAnAnswerAroundTheTensors) {
  InferenceResponse response;
  response.model_name = "m";
  response.model_version = 3;
  response.id = "42";
  response.parameters = {{"p", int64_t{-1}}};
  for (const char* name : {"A", "B", "C"}) {
    OutputTensor output;
    output.name = name;
    output.type = DataType::kInt8;
    output.shape = {1, 300};
    output.data = *name == 'B' ? Buffer() : Buffer::Copy(std::string(300, *name));
    response.outputs.push_back(std::move(output));
  }
  ClassLabels none;
  const Result<BufferList> written = WriteGrpcInferResponse(response, {}, false, none);
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->at(1).data(), response.outputs[0].data.data());
  const Buffer whole = Flatten(*written);
  ProtoReader reader(whole.text());
  std::string fields;
  std::vector<std::string> contents;
  std::string_view bytes;
  while (reader.Next()) {
    fields += static_cast<char>('0' + reader.field());
    ASSERT_TRUE(reader.Bytes(bytes));
    if (reader.field() == 6) contents.emplace_back(bytes);
    if (fields.size() == 5) {
      EXPECT_EQ(bytes, std::string_view("\x0a\x01"
                                        "A\x12\x04INT8\x1a\x03\x01\xac\x02",
                                        14));
    }
  }
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(fields,
            "12345556"
            "66");
  EXPECT_EQ(contents, (std::vector<std::string>{std::string(300, 'A'), "", std::string(300, 'C')}));
}

}  // namespace
}  // namespace tepal::kserve
