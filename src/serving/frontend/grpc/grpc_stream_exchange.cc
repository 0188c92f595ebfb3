#include "serving/frontend/grpc/grpc_stream_exchange.h"

#include <utility>

#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/frontend/model_version_text.h"

namespace tepal {

GrpcStreamExchange::GrpcStreamExchange(const GrpcInferDoor& door, const http::RequestHead& head,
                                       http::ResponseSender& sender)
    : door_(door),
      call_(door, head),
      ends_on_error_(head.headers.Get("triton_grpc_error") == "true"),
      compression_(http::GrpcAnswerCompression(head.headers, door.options.compression)),
      load_(door.options.load_reporter, door.options.load_report_always, head.headers),
      tells_model_load_(AsksModelLoad(head.headers)),
      sender_(sender),
      stream_(head, sender, door.options.message_bytes_max,
              {.on_message = [this](const Buffer& message) { OnMessage(message); },
               .on_end = [this] { OnLast(Status()); },
               .on_reset = [this](const Status&) { Cancel(); },
               .on_send_room = [this] { PauseOrResume(); },
               .on_drain = [this] { OnLast(ServerDrains()); }}) {
  if (call_.deadline == Instant::max()) return;
  deadline_timer_ = door.loop.RunAt(call_.deadline, [this] {
    deadline_timer_ = 0;
    End(DeadlineExceeded("Deadline Exceeded"));
  });
}

GrpcStreamExchange::~GrpcStreamExchange() { Cancel(); }

void GrpcStreamExchange::OnMessage(const Buffer& message) {
  if (over_) return;
  const Result<kserve::GrpcInferRequest> parsed = kserve::GrpcInferRequest::Parse(message);
  if (!parsed.ok()) return End(parsed.status());
  const auto answer = std::make_shared<GrpcStreamAnswer>(door_.completions, sender_, message.size(),
                                                         [this] { SendReady(); });
  answer->id = parsed->id();
  answers_.push_back(answer);
  request_bytes_ += message.size();
  if (tells_model_load_) {
    model_ = parsed->model_name();
    const Result<int64_t> version = ParseModelVersion(parsed->model_version());
    version_ = version.ok() ? *version : -1;
  }
  const Status status = GiveToModel(door_, call_, *parsed, true, *answer);
  if (!status.ok()) answer->Refuse(status);
  if (!over_) PauseOrResume();
}

void GrpcStreamExchange::OnLast(Status status) {
  ending_ = std::move(status);
  SendReady();
}

void GrpcStreamExchange::SendReady() {
  while (!over_ && !answers_.empty() && answers_.front()->message().has_value()) {
    const std::shared_ptr<GrpcStreamAnswer> answer = std::move(answers_.front());
    answers_.pop_front();
    request_bytes_ -= answer->request_bytes();
    if (ends_on_error_ && !answer->failure().ok()) return End(answer->failure());
    Write(std::move(*answer->message()));
  }
  if (over_) return;
  if (ending_.has_value() && answers_.empty()) return End(*ending_);
  PauseOrResume();
}

void GrpcStreamExchange::Write(BufferList message) {
  if (!std::exchange(started_, true)) http::GrpcStart(sender_, nullptr, compression_);
  http::GrpcWrite(sender_, std::move(message), compression_);
}

void GrpcStreamExchange::PauseOrResume() {
  const bool full = answers_.size() >= kRequestsMax || request_bytes_ >= kRequestBytesMax ||
                    sender_.unsent_bytes() >= kUnsentBytesMax;
  if (full == paused_) return;
  paused_ = full;
  if (full) {
    stream_.Pause();
  } else {
    stream_.Resume();
  }
}

void GrpcStreamExchange::Cancel() {
  over_ = true;
  if (deadline_timer_ != 0) door_.loop.Cancel(std::exchange(deadline_timer_, 0));
  for (const auto& answer : std::exchange(answers_, {})) answer->Abandon();
}

void GrpcStreamExchange::End(const Status& status) {
  Cancel();
  // What the client still sends is read and thrown away.
  if (paused_) stream_.Resume();
  const http::Headers* const trailers = Trailers();
  if (!started_ && !status.ok()) return http::GrpcRespondError(sender_, status, trailers);
  if (!started_) http::GrpcStart(sender_, nullptr, compression_);
  http::GrpcFinish(sender_, status, trailers);
}

const http::Headers* GrpcStreamExchange::Trailers() {
  const Instant now = door_.loop.Now();
  const http::Headers* const orca = load_.Trailers(now);
  if (model_.empty()) return orca;
  const auto model = door_.core.Find(model_, version_);
  if (!model.ok()) return orca;
  trailers_ = orca != nullptr ? *orca : http::Headers();
  door_.model_loads.Add(**model, now, *trailers_);
  return &*trailers_;
}

}  // namespace tepal
