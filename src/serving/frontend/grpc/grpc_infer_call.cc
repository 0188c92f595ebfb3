#include "serving/frontend/grpc/grpc_infer_call.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/grpc.h"
#include "serving/frontend/model_version_text.h"

namespace tepal {
namespace {

Status RefuseDecoupled(std::string_view model, bool stream) {
  if (!stream) {
    return Unimplemented("ModelInfer RPC doesn't support models with decoupled transaction policy");
  }
  return Unimplemented(
      Concat("models with decoupled transaction policy are not supported yet: '", model, "'"));
}

}  // namespace

GrpcInferCall::GrpcInferCall(const GrpcInferDoor& door, const http::RequestHead& head)
    : received(door.loop.Now()) {
  const std::optional<std::string_view> text = head.headers.Get("grpc-timeout");
  const std::optional<Duration> timeout =
      text.has_value() ? http::ParseGrpcTimeout(*text) : std::nullopt;
  if (timeout.has_value() && *timeout < Instant::max() - received) deadline = received + *timeout;
  door.options.forwarded_headers.Forward(head.headers, forwarded);
}

Status GiveToModel(const GrpcInferDoor& door, const GrpcInferCall& call,
                   const kserve::GrpcInferRequest& parsed, bool stream, PendingAnswer& answer) {
  ASSIGN_OR_RETURN(const int64_t version, ParseModelVersion(parsed.model_version()));
  ASSIGN_OR_RETURN(const std::shared_ptr<ServedModel> model,
                   door.core.Find(parsed.model_name(), version));
  if (model->config().decoupled) return RefuseDecoupled(parsed.model_name(), stream);
  auto request = std::make_unique<InferenceRequest>();
  request->model_name = parsed.model_name();
  request->requested_version = version;
  request->times.received = stream ? door.loop.Now() : call.received;
  request->deadline = call.deadline;
  kserve::RegionMemory regions;
  if (SharedMemoryRegions* registered = door.options.shared_memory; registered != nullptr) {
    regions = [registered](std::string_view region, uint64_t offset, uint64_t size) {
      return registered->Memory(region, offset, size);
    };
  }
  RETURN_IF_ERROR(parsed.Fill(*request, answer.form, regions ? &regions : nullptr));
  request->parameters.insert(request->parameters.end(), call.forwarded.begin(),
                             call.forwarded.end());
  answer.Attach(*request, model);
  return door.core.Infer(std::move(request));
}

}  // namespace tepal
