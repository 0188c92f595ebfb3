#include "serving/frontend/http/infer_exchange.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/status_map.h"
#include "serving/frontend/http/server_timing.h"

namespace tepal {
namespace {

std::optional<std::string> Header(const http::RequestHead& head, std::string_view name) {
  const std::optional<std::string_view> value = head.headers.Get(name);
  return value.has_value() ? std::optional<std::string>(*value) : std::nullopt;
}

}  // namespace

InferExchange::InferExchange(const Door& door, std::string model, int64_t version,
                             const http::RequestHead& head, http::ResponseSender& sender)
    : door_(door),
      model_(std::move(model)),
      version_(version),
      received_(door.loop.Now()),
      json_size_text_(Header(head, "inference-header-content-length")),
      content_encoding_(http::ContentEncoding(head.headers.Get("content-encoding").value_or(""))),
      sender_(sender),
      answer_(std::make_shared<InferAnswer>(door.completions, sender)),
      collector_(std::nullopt, door.options.body_bytes_max, &sender) {
  answer_->encoding = http::AcceptedEncoding(head.headers.Get("accept-encoding").value_or(""));
  if (door.options.load_reporter != nullptr) {
    load_report_ = AskedLoadReport(head.headers.Get("endpoint-load-metrics-format"));
  }
  answer_->server_timing = door.options.server_timing || AsksServerTiming(head.headers);
  if (AsksModelLoad(head.headers)) answer_->tells_load = &door.model_loads;
  door.options.forwarded_headers.Forward(head.headers, forwarded_);
  if (head.content_length.has_value() && *head.content_length <= door.options.body_bytes_max) {
    placed_size_ = *head.content_length;
    if (json_size_text_.has_value()) {
      const Result<size_t> json_size = kserve::JsonSize(*json_size_text_, *placed_size_);
      const size_t past = json_size.ok() ? *json_size % kSlabAlignment : 0;
      lead_ = past == 0 ? 0 : kSlabAlignment - past;
    }
  } else if (head.content_length.has_value()) {
    RefuseTooLarge();
  }
}

InferExchange::~InferExchange() { answer_->Abandon(); }

std::span<std::byte> InferExchange::BodyRoom(size_t expected) {
  if (placed_size_.has_value()) {
    if (*placed_size_ == 0) return {};
    if (placed_.empty()) {
      placed_ = sender_.AllocateBody(lead_ + *placed_size_);
      if (placed_.empty()) return {};
    }
    return {placed_.data() + lead_ + placed_filled_, *placed_size_ - placed_filled_};
  }
  const std::span<std::byte> room = collector_.BodyRoom(expected);
  if (collector_.overflowed()) RefuseTooLarge();
  return room;
}

Buffer InferExchange::OpenMemory() const {
  if (!placed_size_.has_value()) return collector_.OpenMemory();
  if (placed_.empty()) return {};
  return placed_.Slice(lead_ + placed_filled_, *placed_size_ - placed_filled_);
}

void InferExchange::OnBody(size_t bytes) {
  if (placed_size_.has_value()) {
    placed_filled_ += bytes;
  } else {
    collector_.OnBody(bytes);
  }
}

Buffer InferExchange::TakeBody() {
  if (!placed_size_.has_value()) return collector_.Take();
  return placed_.empty() ? Buffer() : std::exchange(placed_, {}).Slice(lead_, placed_filled_);
}

void InferExchange::RefuseTooLarge() {
  if (std::exchange(refused_, true)) return;
  answer_->RefuseTooLarge(Concat("request body exceeds the limit of ", door_.options.body_bytes_max,
                                 " bytes (--http-max-input-size)"));
}

void InferExchange::OnRequestEnd(const http::Headers&) {
  if (refused_) return;
  auto request = std::make_unique<InferenceRequest>();
  const std::shared_ptr<InferAnswer> answer = answer_;
  Status status = Begin(request);
  // Answering may have ended this exchange: nothing of it is touched from here on.
  if (!status.ok()) answer->Refuse(status);
}

Status InferExchange::Begin(std::unique_ptr<InferenceRequest>& request) {
  ASSIGN_OR_RETURN(const std::shared_ptr<ServedModel> model, door_.core.Find(model_, version_));
  const ModelConfig& config = model->config();
  if (config.decoupled) {
    return Unimplemented("HTTP end point doesn't support models with decoupled transaction policy");
  }
  if (!content_encoding_.has_value()) {
    answer_->RefuseEncoding();
    return {};
  }

  Buffer body = TakeBody();
  Status decompressed;
  if (*content_encoding_ != http::Encoding::kIdentity) {
    Result<Buffer> plain = http::Decompress(*content_encoding_, body.text(),
                                            door_.options.body_bytes_max, sender_.body_budget());
    decompressed = plain.status();
    if (decompressed.code() == StatusCode::kUnavailable) return decompressed;
    body = plain.ok() ? std::move(plain).value() : Buffer();
    // Triton goes on with an empty body here, so what it says comes from the raw form below; only
    // where that could succeed our own words are needed.
    if (!decompressed.ok() && config.inputs.size() == 1) return decompressed;
  }

  std::optional<std::string_view> header;
  if (json_size_text_.has_value()) header = *json_size_text_;
  ASSIGN_OR_RETURN(const size_t json_size, kserve::JsonSize(header, body.size()));
  request->model_name = model_;
  request->requested_version = version_;
  request->times.received = received_;
  kserve::RegionMemory regions;
  if (SharedMemoryRegions* registered = door_.options.shared_memory; registered != nullptr) {
    regions = [registered](std::string_view region, uint64_t offset, uint64_t size) {
      return registered->Memory(region, offset, size);
    };
  }
  RETURN_IF_ERROR(kserve::ReadInferRequest(body, json_size, config, *request, answer_->form,
                                           regions ? &regions : nullptr));

  for (Parameter& parameter : forwarded_) request->parameters.push_back(std::move(parameter));

  answer_->Attach(*request, model);
  if (load_report_.has_value()) {
    answer_->load_report = door_.options.load_reporter->Text(*load_report_, door_.loop.Now());
  }
  return door_.core.Infer(std::move(request));
}

void InferExchange::OnReset(const Status&) { answer_->Abandon(); }

}  // namespace tepal
