#include <google/protobuf/descriptor.pb.h>

#include <algorithm>

#include "core/telemetry/log.h"
#include "serving/frontend/grpc/grpc_health_watch.h"
#include "serving/frontend/grpc/grpc_reflection.h"
#include "serving/frontend/grpc/grpc_test_support.h"
#include "sim/simulated_shared_memory.h"

namespace tepal {
namespace {

class GrpcExtensionsTest : public GrpcDoorTest {
 protected:
  void UseMemory() {
    GrpcFrontendOptions options;
    options.shared_memory = &regions;
    handler = NewGrpcFrontend(core, loop, blocking, options);
  }
  void TearDown() override { telemetry::SetLogSettings({}).ok(); }

  // A map entry {key: value} in field 1.
  template <typename Fill>
  static std::string Setting(std::string_view key, Fill&& fill) {
    return Message([&](kserve::ProtoWriter& out) {
      out.Message(1, [&](kserve::ProtoWriter& entry) {
        entry.Text(1, key);
        entry.Message(2, fill);
      });
    });
  }
  static std::string Name(std::string_view name) {
    return Message([name](kserve::ProtoWriter& out) { out.Text(1, name); });
  }

  sim::SimulatedSharedMemory memory;
  std::vector<std::byte>& object = memory.objects.try_emplace("/object", 64).first->second;
  SharedMemoryRegions regions{memory};
};

std::string RegisterMessage(std::string_view name, uint64_t offset, uint64_t size) {
  return Message([&](kserve::ProtoWriter& out) {
    out.Text(1, name);
    out.Text(2, "/object");
    out.Varint(3, offset);
    out.Varint(4, size);
  });
}

TEST_F(GrpcExtensionsTest, RegistersSharedMemory) {
  CallService("SystemSharedMemoryRegister", RegisterMessage("r", 16, 32));
  EXPECT_TRUE(Got().starts_with("12 shared memory region 'r' is not registered")) << Got();
  UseMemory();
  CallService("SystemSharedMemoryRegister", RegisterMessage("r", 16, 32));
  EXPECT_EQ(Got(), "");
  CallService("SystemSharedMemoryRegister", RegisterMessage("r", 16, 32));
  EXPECT_EQ(Got(), "6 shared memory region 'r' already in manager");
  CallService("SystemSharedMemoryStatus", Name("r"));
  EXPECT_EQ(Got(), Message([](kserve::ProtoWriter& out) {
              out.Message(1, [](kserve::ProtoWriter& entry) {
                entry.Text(1, "r");
                entry.Message(2, [](kserve::ProtoWriter& region) {
                  region.Text(1, "r");
                  region.Text(2, "/object");
                  region.Varint(3, 16);
                  region.Varint(4, 32);
                });
              });
            }));
  CallService("SystemSharedMemoryUnregister", "");
  EXPECT_EQ(Got(), "");
  CallService("SystemSharedMemoryStatus", Name("r"));
  EXPECT_EQ(Got(), "5 Unable to find system shared memory region: 'r'");
  CallService("CudaSharedMemoryStatus", "");
  EXPECT_EQ(Got(), "");
  CallService("CudaSharedMemoryRegister", Name("c"));
  EXPECT_EQ(Got(), "3 failed to register shared memory region: invalid args");
}

TEST_F(GrpcExtensionsTest, InfersInSharedMemory) {
  UseMemory();
  CallService("SystemSharedMemoryRegister", RegisterMessage("r", 0, 64));
  std::fill_n(object.data(), 4, std::byte{'i'});
  const auto place = [](kserve::ProtoWriter& tensor, uint32_t field, int64_t offset) {
    const auto parameter = [&](std::string_view name, auto fill) {
      tensor.Message(field, [&](kserve::ProtoWriter& entry) {
        entry.Text(1, name);
        entry.Message(2, fill);
      });
    };
    parameter("shared_memory_region", [](kserve::ProtoWriter& value) { value.Text(3, "r"); });
    parameter("shared_memory_byte_size", [](kserve::ProtoWriter& value) { value.Int(2, 4); });
    parameter("shared_memory_offset", [&](kserve::ProtoWriter& value) { value.Int(2, offset); });
  };
  core.hold = true;
  CallService("ModelInfer", Message([&](kserve::ProtoWriter& out) {
                out.Text(1, "echo");
                out.Message(5, [&](kserve::ProtoWriter& input) {
                  input.Text(1, "X");
                  input.Text(2, "FP32");
                  input.Int(3, 1);
                  place(input, 4, 0);
                });
                out.Message(6, [&](kserve::ProtoWriter& output) {
                  output.Text(1, "Y");
                  place(output, 2, 8);
                });
              }));
  ASSERT_EQ(core.held.size(), 1u);
  EXPECT_EQ(Flatten(core.held[0]->inputs[0].data).text(), "iiii");
  const Buffer room = core.held[0]->sink->OutputMemory("Y", 4);
  EXPECT_EQ(room.data(), object.data() + 8);
  FakeCore::Answer(std::move(core.held[0]));
  EXPECT_TRUE(Got().ends_with(std::string_view("\x32\x00", 2))) << "the tensor is not sent";
}

TEST_F(GrpcExtensionsTest, KeepsTraceSettings) {
  const auto text = [](std::string value) {
    return [value](kserve::ProtoWriter& setting) { setting.Bytes(1, value); };
  };
  CallService("TraceSetting", Setting("trace_rate", text("7")));
  EXPECT_NE(Got().find("\x0a\x0atrace_rate\x12\x03\x0a\x01"
                       "7"),
            std::string::npos);
  CallService("TraceSetting", Setting("trace_rate", text("x")));
  EXPECT_EQ(Got(), "3 Unable to parse 'trace_rate', got: x");
  CallService("TraceSetting", Setting("trace_rate", [](kserve::ProtoWriter& setting) {
                setting.Bytes(1, "1");
                setting.Bytes(1, "2");
              }));
  EXPECT_EQ(Got(), "3 expect only 1 value for 'trace_rate'");
  CallService("TraceSetting", Setting("trace_rate", [](kserve::ProtoWriter&) {}));
  EXPECT_NE(Got().find("1000"), std::string::npos);
  CallService("TraceSetting", Message([](kserve::ProtoWriter& out) { out.Text(2, "nope"); }));
  EXPECT_EQ(Got(), "3 Request for unknown model : nope");
}

TEST_F(GrpcExtensionsTest, ChangesLogSettings) {
  CallService("LogSettings",
              Setting("log_verbose_level", [](kserve::ProtoWriter& value) { value.Int(2, 3); }));
  EXPECT_EQ(telemetry::GetLogSettings().verbose_level, 3);
  EXPECT_NE(Got().find("log_verbose_level\x12\x02\x10\x03"), std::string::npos);
  CallService("LogSettings",
              Setting("log_info", [](kserve::ProtoWriter& value) { value.Bool(1, false); }));
  EXPECT_FALSE(telemetry::GetLogSettings().info);
  CallService("LogSettings",
              Setting("log_error", [](kserve::ProtoWriter& value) { value.Text(3, "x"); }));
  EXPECT_EQ(Got(), "3 expect boolean for 'log_error'");
  CallService("LogSettings", Setting("log_file", [](kserve::ProtoWriter&) {}));
  EXPECT_EQ(Got(), "12 log file location can not be updated through network protocol");
}

TEST_F(GrpcExtensionsTest, RestrictsGroupsOfCalls) {
  GrpcFrontendOptions options;
  ASSERT_TRUE(options.restricted.Add("health,inference:Key=secret").ok());
  handler = NewGrpcFrontend(core, loop, blocking, options);
  const std::string refused =
      "14 This protocol is restricted, expecting header 'triton-grpc-protocol-Key'";
  for (const char* method :
       {"/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ModelStreamInfer", "/grpc.health.v1.Health/Watch"}) {
    Call(method, "");
    EXPECT_EQ(Got(), refused) << method;
  }
  CallService("ServerMetadata", "");
  EXPECT_NE(Got().find("triton"), std::string::npos);
  http::Headers metadata;
  metadata.Add("triton-grpc-protocol-key", "secret");
  CallWith("/inference.GRPCInferenceService/ServerLive", "", metadata);
  EXPECT_EQ(Got(), std::string_view("\x08\x01", 2));
}

TEST_F(GrpcExtensionsTest, ForwardsHeaders) {
  GrpcFrontendOptions options;
  options.forwarded_headers = *HeaderForwarding::New("^my-");
  handler = NewGrpcFrontend(core, loop, blocking, options);
  core.hold = true;
  http::Headers metadata;
  metadata.Add("my-user", "ann");
  CallWith("/inference.GRPCInferenceService/ModelInfer", InferMessage("echo"), metadata);
  ASSERT_EQ(core.held.at(0)->parameters.size(), 1u);
  EXPECT_EQ(core.held[0]->parameters[0].name, "my-user");
}

TEST_F(GrpcExtensionsTest, WatchesHealth) {
  UseMemory();
  const auto look = [this] {
    ASSERT_EQ(loop.timers.size(), 1u);
    env::Task task = std::move(loop.timers.begin()->second);
    loop.timers.erase(loop.timers.begin());
    task();
  };
  const std::string serving("\x08\x01", 2), not_serving("\x08\x02", 2), unknown("\x08\x03", 2);
  Call("/grpc.health.v1.Health/Watch", Name("nope"));
  EXPECT_EQ(Messages(), std::vector<std::string>{unknown});
  receiver->OnReset(Cancelled("gone"));
  EXPECT_TRUE(loop.timers.empty());  // Nobody watches.
  Call("/grpc.health.v1.Health/Watch", Name("echo"));
  EXPECT_EQ(Messages(), std::vector<std::string>{serving});
  look();
  EXPECT_EQ(Messages().size(), 1u);
  core.SetLameDuck();
  look();
  EXPECT_EQ(Messages(), (std::vector<std::string>{serving, not_serving}));
  receiver->OnDrain(0);
  EXPECT_EQ(sender->headers.at("grpc-status"), "14");
  EXPECT_TRUE(sender->finished);
  EXPECT_TRUE(loop.timers.empty());
}

TEST_F(GrpcExtensionsTest, AWatchThatBeginsDuringADrainEndsAfterItsStatus) {
  Begin("/grpc.health.v1.Health/Watch");
  receiver->OnDrain(0);
  EXPECT_EQ(sender->answers, 0);
  ASSERT_TRUE(SendMessage(Name("echo")));
  receiver->OnRequestEnd({});
  EXPECT_EQ(Messages().size(), 1u);
  EXPECT_EQ(sender->headers.at("grpc-status"), "14");
  EXPECT_TRUE(loop.timers.empty());
}

TEST_F(GrpcExtensionsTest, ADrainEndsReflection) {
  Begin("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  const std::string question = Message([](kserve::ProtoWriter& out) { out.Text(7, ""); });
  ASSERT_TRUE(SendMessage(question));
  EXPECT_FALSE(sender->finished);
  receiver->OnDrain(5 + question.size());  // One more has come before it.
  EXPECT_FALSE(sender->finished);
  ASSERT_TRUE(SendMessage(question));
  EXPECT_EQ(Messages().size(), 2u);
  EXPECT_EQ(sender->headers.at("grpc-status"), "14");
}

// The response to one question: the field of its answer, and that answer.
std::pair<uint32_t, std::string> AskReflection(uint32_t field, std::string_view value) {
  GrpcReflection reflection;
  const Result<Buffer> answer =
      reflection.Answer(Message([&](kserve::ProtoWriter& out) { out.Bytes(field, value); }));
  EXPECT_TRUE(answer.ok());
  std::pair<uint32_t, std::string> last;
  kserve::ProtoReader reader(answer->text());
  std::string_view bytes;
  while (reader.Next() && reader.Bytes(bytes)) last = {reader.field(), std::string(bytes)};
  EXPECT_TRUE(reader.ok());
  return last;
}

std::vector<std::string> FilesIn(std::string_view response) {
  std::vector<std::string> names;
  kserve::ProtoReader reader(response);
  std::string_view bytes;
  while (reader.Next() && reader.Bytes(bytes)) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    names.push_back(file.name());
  }
  return names;
}

TEST(GrpcReflection, ShowsTheServices) {
  const auto [services, list] = AskReflection(7, "");
  EXPECT_EQ(services, 6u);
  const std::vector<std::string> inference = {"core/proto/inference.proto",
                                              "core/proto/model_config.proto"};
  for (const std::string_view service : kGrpcServices) {
    EXPECT_NE(list.find(service), std::string::npos);
    EXPECT_EQ(AskReflection(4, service).first, 4u) << service;
  }
  EXPECT_EQ(FilesIn(AskReflection(4, "inference.GRPCInferenceService.ModelInfer").second),
            inference);
  EXPECT_EQ(FilesIn(AskReflection(4, "inference.ModelInferRequest.InferInputTensor").second),
            inference);
  EXPECT_EQ(FilesIn(AskReflection(3, "core/proto/health.proto").second),
            std::vector<std::string>{"core/proto/health.proto"});
}

TEST(GrpcReflection, SaysWhatItDoesNotKnow) {
  for (const uint32_t question : {3u, 4u, 6u}) {
    const auto [field, error] = AskReflection(question, "nope");
    EXPECT_EQ(field, 7u);
    EXPECT_EQ(error.substr(0, 2), std::string_view("\x08\x05"));  // NOT_FOUND.
  }
  EXPECT_EQ(AskReflection(5, "").first, 7u);
  EXPECT_FALSE(GrpcReflection().Answer("\xff").ok());
}

TEST_F(GrpcExtensionsTest, ReflectsOnAStream) {
  Begin("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  const std::string question = Message([](kserve::ProtoWriter& out) { out.Bytes(7, ""); });
  ASSERT_TRUE(SendMessage(question));
  ASSERT_TRUE(SendMessage(question));
  EXPECT_EQ(Messages().size(), 2u);
  receiver->OnRequestEnd({});
  EXPECT_EQ(sender->headers.at("grpc-status"), "0");
}

}  // namespace
}  // namespace tepal
