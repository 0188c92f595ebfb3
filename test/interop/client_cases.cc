// Each case does what the document says, and what it leaves open as grpc-go has it.

#include "test/interop/client_cases.h"

#include "core/base/text.h"

namespace tepal::interop {
namespace {

using grpc::testing::Empty;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;

constexpr int32_t kRequestSizes[] = {27182, 8, 1828, 45904};
constexpr int32_t kResponseSizes[] = {31415, 9, 2653, 58979};
constexpr int32_t kLargeRequest = 271828, kLargeResponse = 314159;

std::string Method(std::string_view name) { return Concat("/grpc.testing.TestService/", name); }

Status Expect(bool holds, std::string_view what) {
  return holds ? Status() : Internal(Concat("expected ", what));
}

Status ExpectCode(const Status& status, StatusCode code) {
  if (status.code() == code) return {};
  return Internal(Concat("got ", status.ToString(), ", expected ", StatusCodeName(code)));
}

template <typename Response>
Result<Response> Unary(const Channel& channel, std::string_view method,
                       const google::protobuf::MessageLite& request) {
  ClientCall call(channel, Method(method), {});
  call.Send(request);
  call.CloseSend();
  const std::optional<Buffer> message = call.Receive();
  RETURN_IF_ERROR(Status(call.Wait().status));
  if (!message.has_value()) return Internal("no message");
  return Parse<Response>(*message);
}

// The next message of a stream, which must hold that much.
Status ReceivePayload(ClientCall& call, int32_t size) {
  const std::optional<Buffer> message = call.Receive();
  if (!message.has_value()) {
    return Internal(Concat("no message, but ", call.Wait().status.ToString()));
  }
  ASSIGN_OR_RETURN(const auto response, Parse<StreamingOutputCallResponse>(*message));
  return Expect(response.payload().body().size() == static_cast<size_t>(size),
                Concat(size, " bytes, got ", response.payload().body().size()));
}

SimpleRequest LargeRequest() {
  SimpleRequest request;
  request.set_response_size(kLargeResponse);
  FillPayload(request, kLargeRequest);
  return request;
}

Status EmptyUnary(const Channel& channel) {
  return Unary<Empty>(channel, "EmptyCall", Empty()).status();
}

// A server that takes compressed requests is expected to answer likewise.
Status LargeUnary(const Channel& channel) {
  ClientCall call(channel, Method("UnaryCall"), {});
  call.Send(LargeRequest());
  call.CloseSend();
  const std::optional<Buffer> message = call.Receive();
  RETURN_IF_ERROR(Status(call.Wait().status));
  if (!message.has_value()) return Internal("no message");
  ASSIGN_OR_RETURN(const auto response, Parse<SimpleResponse>(*message));
  if (channel.compression.encoding != http::Encoding::kIdentity) {
    const std::string_view name = http::EncodingName(channel.compression.encoding);
    RETURN_IF_ERROR(Expect(call.Wait().initial.Get("grpc-encoding") == name,
                           "an answer compressed as the request was"));
  }
  return Expect(response.payload().body() == std::string(kLargeResponse, '\0'),
                "the zeros asked for");
}

Status ClientStreaming(const Channel& channel) {
  ClientCall call(channel, Method("StreamingInputCall"), {});
  int32_t sum = 0;
  for (const int32_t size : kRequestSizes) {
    StreamingInputCallRequest request;
    FillPayload(request, size);
    call.Send(request);
    sum += size;
  }
  call.CloseSend();
  const std::optional<Buffer> message = call.Receive();
  RETURN_IF_ERROR(Status(call.Wait().status));
  if (!message.has_value()) return Internal("no message");
  ASSIGN_OR_RETURN(const auto response, Parse<StreamingInputCallResponse>(*message));
  return Expect(response.aggregated_payload_size() == sum, "the sum of the sizes");
}

Status ServerStreaming(const Channel& channel) {
  StreamingOutputCallRequest request;
  for (const int32_t size : kResponseSizes) request.add_response_parameters()->set_size(size);
  ClientCall call(channel, Method("StreamingOutputCall"), {});
  call.Send(request);
  call.CloseSend();
  for (const int32_t size : kResponseSizes) RETURN_IF_ERROR(ReceivePayload(call, size));
  RETURN_IF_ERROR(Expect(!call.Receive().has_value(), "no further message"));
  return call.Wait().status;
}

StreamingOutputCallRequest PingRequest(size_t number) {
  StreamingOutputCallRequest request;
  request.add_response_parameters()->set_size(kResponseSizes[number]);
  FillPayload(request, kRequestSizes[number]);
  return request;
}

Status PingPong(const Channel& channel) {
  ClientCall call(channel, Method("FullDuplexCall"), {});
  for (size_t i = 0; i < std::size(kRequestSizes); ++i) {
    call.Send(PingRequest(i));
    RETURN_IF_ERROR(ReceivePayload(call, kResponseSizes[i]));
  }
  call.CloseSend();
  RETURN_IF_ERROR(Expect(!call.Receive().has_value(), "no further message"));
  return call.Wait().status;
}

Status EmptyStream(const Channel& channel) {
  ClientCall call(channel, Method("FullDuplexCall"), {});
  call.CloseSend();
  RETURN_IF_ERROR(Expect(!call.Receive().has_value(), "no message"));
  return call.Wait().status;
}

Status TimeoutOnSleepingServer(const Channel& channel) {
  ClientCall::Options options;
  options.timeout = 1ms;
  ClientCall call(channel, Method("FullDuplexCall"), std::move(options));
  StreamingOutputCallRequest request;
  FillPayload(request, kRequestSizes[0]);
  call.Send(request);
  return ExpectCode(call.Wait().status, StatusCode::kDeadlineExceeded);
}

Status CancelAfterBegin(const Channel& channel) {
  ClientCall::Options options;
  options.metadata.Add("key1", "value1");
  ClientCall call(channel, Method("StreamingInputCall"), std::move(options));
  call.Cancel();
  RETURN_IF_ERROR(ExpectCode(call.Wait().status, StatusCode::kCancelled));
  return EmptyUnary(channel);  // The connection is none the worse.
}

Status CancelAfterFirstResponse(const Channel& channel) {
  ClientCall call(channel, Method("FullDuplexCall"), {});
  call.Send(PingRequest(0));
  RETURN_IF_ERROR(ReceivePayload(call, kResponseSizes[0]));
  call.Cancel();
  RETURN_IF_ERROR(ExpectCode(call.Wait().status, StatusCode::kCancelled));
  return EmptyUnary(channel);
}

Status ExpectStatus(const Status& got, const Status& expected) {
  return Expect(got.code() == expected.code() && got.message() == expected.message(),
                Concat(expected.ToString(), ", got ", got.ToString()));
}

Status EchoStatus(const Channel& channel, const Status& expected, bool streaming) {
  SimpleRequest request;
  request.mutable_response_status()->set_code(static_cast<int>(expected.code()));
  request.mutable_response_status()->set_message(expected.message());
  const Status unary = Unary<SimpleResponse>(channel, "UnaryCall", request).status();
  RETURN_IF_ERROR(ExpectStatus(unary, expected));
  if (!streaming) return {};
  StreamingOutputCallRequest message;
  *message.mutable_response_status() = request.response_status();
  ClientCall call(channel, Method("FullDuplexCall"), {});
  call.Send(message);
  call.CloseSend();
  return ExpectStatus(call.Wait().status, expected);
}

Status StatusCodeAndMessage(const Channel& channel) {
  return EchoStatus(channel, {StatusCode::kUnknown, "test status message"}, true);
}

Status SpecialStatusMessage(const Channel& channel) {
  return EchoStatus(channel,
                    {StatusCode::kUnknown,
                     "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba "
                     "and non-BMP \xf0\x9f\x98\x88\t\n"},
                    false);
}

Status CheckEchoes(const http::Headers& initial, const http::GrpcEnd& end, std::string_view bytes) {
  RETURN_IF_ERROR(Expect(initial.Get(kEchoInitial) == "test_initial_metadata_value",
                         "the initial metadata back"));
  return Expect(http::ReadBinaryMetadata(end.trailers, kEchoTrailing) ==
                    std::vector<std::string>{std::string(bytes)},
                "the trailing metadata back");
}

Status CustomMetadata(const Channel& channel) {
  constexpr std::string_view kBytes = "\x0a\x0b\x0a\x0b\x0a\x0b";
  ClientCall::Options options;
  options.metadata.Add(kEchoInitial, "test_initial_metadata_value");
  http::AddBinaryMetadata(kEchoTrailing, kBytes, options.metadata);
  SimpleRequest request;
  request.set_response_size(1);
  ClientCall unary(channel, Method("UnaryCall"), options);
  unary.Send(request);
  unary.CloseSend();
  RETURN_IF_ERROR(Status(unary.Wait().status));
  RETURN_IF_ERROR(CheckEchoes(unary.Wait().initial, unary.Wait(), kBytes));
  ClientCall stream(channel, Method("FullDuplexCall"), options);
  stream.Send(PingRequest(1));
  const http::Headers initial = stream.Initial();
  RETURN_IF_ERROR(ReceivePayload(stream, kResponseSizes[1]));
  stream.CloseSend();
  RETURN_IF_ERROR(Status(stream.Wait().status));
  return CheckEchoes(initial, stream.Wait(), kBytes);
}

Status UnimplementedMethod(const Channel& channel) {
  return ExpectCode(Unary<Empty>(channel, "UnimplementedCall", Empty()).status(),
                    StatusCode::kUnimplemented);
}

Status UnimplementedService(const Channel& channel) {
  ClientCall call(channel, "/grpc.testing.UnimplementedService/UnimplementedCall", {});
  call.Send(Empty());
  call.CloseSend();
  return ExpectCode(call.Wait().status, StatusCode::kUnimplemented);
}

// Many large calls at a time over one connection.
Status RpcSoak(const Channel& channel) {
  constexpr int kRounds = 20, kAtATime = 16;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::unique_ptr<ClientCall>> calls;
    for (int i = 0; i < kAtATime; ++i) {
      calls.push_back(
          std::make_unique<ClientCall>(channel, Method("UnaryCall"), ClientCall::Options()));
      calls.back()->Send(LargeRequest());
      calls.back()->CloseSend();
    }
    for (const auto& call : calls) {
      const std::optional<Buffer> message = call->Receive();
      RETURN_IF_ERROR(Status(call->Wait().status));
      if (!message.has_value()) return Internal("no message");
      ASSIGN_OR_RETURN(const auto response, Parse<SimpleResponse>(*message));
      RETURN_IF_ERROR(Expect(response.payload().body().size() == kLargeResponse, "all of it"));
    }
  }
  return {};
}

}  // namespace

const std::vector<Case>& AllCases() {
  static const std::vector<Case> cases = {
      {"empty_unary", EmptyUnary},
      {"large_unary", LargeUnary},
      {"client_streaming", ClientStreaming},
      {"server_streaming", ServerStreaming},
      {"ping_pong", PingPong},
      {"empty_stream", EmptyStream},
      {"timeout_on_sleeping_server", TimeoutOnSleepingServer},
      {"cancel_after_begin", CancelAfterBegin},
      {"cancel_after_first_response", CancelAfterFirstResponse},
      {"status_code_and_message", StatusCodeAndMessage},
      {"special_status_message", SpecialStatusMessage},
      {"custom_metadata", CustomMetadata},
      {"unimplemented_method", UnimplementedMethod},
      {"unimplemented_service", UnimplementedService},
      {"rpc_soak", RpcSoak},
  };
  return cases;
}

}  // namespace tepal::interop
