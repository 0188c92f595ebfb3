#include "network/http/grpc_client.h"

#include "core/base/text.h"
#include "network/http/grpc_text.h"

namespace tepal::http {

RequestHead MakeGrpcRequest(std::string_view authority, std::string_view path,
                            std::optional<Duration> timeout, GrpcCompression compression) {
  RequestHead head;
  head.method = "POST";
  head.target = path;
  head.authority = authority;
  head.version = Version::kHttp2;
  head.headers.Add("te", "trailers");
  head.headers.Add("content-type", "application/grpc");
  head.headers.Add("grpc-accept-encoding", kGrpcAcceptEncoding);
  AddGrpcEncoding(compression, head.headers);
  if (timeout.has_value()) head.headers.Add("grpc-timeout", FormatGrpcTimeout(*timeout));
  return head;
}

void GrpcWrite(RequestSender& sender, BufferList message, GrpcCompression compression) {
  sender.Write(GrpcFrame(std::move(message), compression));
}

GrpcStreamResponse::GrpcStreamResponse(size_t message_bytes_max, Calls calls)
    : calls_(std::move(calls)),
      reader_(
          message_bytes_max,
          [this](Buffer message) {
            if (!over_) calls_.on_message(std::move(message));
          },
          [this](Status why) {
            // A server may know more encodings than we do, but must not use them with us.
            if (why.code() == StatusCode::kUnimplemented) why = Internal(why.message());
            End({std::move(why), false, std::move(head_.headers), {}});
          }) {}

void GrpcStreamResponse::Resume(RequestSender& sender) {
  reader_.Pause(false);
  if (!over_) sender.ResumeBody();
}

void GrpcStreamResponse::OnResponse(ResponseHead head) {
  head_ = std::move(head);
  // The page of a proxy, say: its status tells more than its bytes.
  const bool is_grpc =
      head_.status == 200 && IsGrpcContentType(head_.headers.Get("content-type").value_or(""));
  if (!is_grpc) return reader_.Discard();
  reader_.SetEncoding(head_.headers);
  if (head_.has_body && calls_.on_start) calls_.on_start(head_.headers);
}

void GrpcStreamResponse::OnResponseEnd(const Headers& trailers) {
  if (std::optional<Status> status = ReadGrpcStatus(trailers)) {
    if (status->ok() && reader_.truncated()) status = Internal("the answer ends within a message");
    return End({*std::move(status), false, std::move(head_.headers), trailers});
  }
  std::optional<Status> status = ReadGrpcStatus(head_.headers);
  if (!status) status = GrpcStatusFromHttp(head_.status);
  End({*std::move(status), false, {}, std::move(head_.headers)});
}

void GrpcStreamResponse::OnFailure(const Failure& failure) {
  End({failure.why, failure.unprocessed, {}, {}});
}

void GrpcStreamResponse::OnSendRoom() {
  if (!over_ && calls_.on_send_room) calls_.on_send_room();
}

void GrpcStreamResponse::End(GrpcEnd end) {
  if (std::exchange(over_, true)) return;
  reader_.Discard();
  calls_.on_end(std::move(end));
}

GrpcUnaryResponse::GrpcUnaryResponse(size_t message_bytes_max, Done done)
    : stream_(message_bytes_max, MakeCalls()), done_(std::move(done)) {}

GrpcStreamResponse::Calls GrpcUnaryResponse::MakeCalls() {
  GrpcStreamResponse::Calls calls;
  calls.on_message = [this](Buffer message) {
    ++messages_;
    message_ = std::move(message);
  };
  calls.on_end = [this](GrpcEnd end) { End(std::move(end)); };
  return calls;
}

void GrpcUnaryResponse::End(GrpcEnd end) {
  if (end.status.ok() && messages_ != 1) {
    end.status = Internal(Concat("a unary answer with ", messages_, " messages"));
  }
  done_(std::move(end), std::move(message_));
}

}  // namespace tepal::http
