// What a backend reports about its work.

#include <memory>

#include "serving/backend/host/request_objects.h"

namespace {

using tepal::backend_host::NewError;

tepal::Duration Between(uint64_t from_ns, uint64_t to_ns) {
  return to_ns > from_ns ? tepal::Duration(static_cast<int64_t>(to_ns - from_ns))
                         : tepal::Duration::zero();
}

// Backends read the monotonic clock whose instants ours are.
tepal::Instant InstantOf(uint64_t ns) {
  return tepal::Instant(tepal::Duration(static_cast<int64_t>(ns)));
}

}  // namespace

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportStatistics(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request, const bool success,
    const uint64_t exec_start_ns, const uint64_t compute_start_ns, const uint64_t compute_end_ns,
    const uint64_t exec_end_ns) {
  if (request->request == nullptr) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    "statistics must be reported before the request is released");
  }
  if (request->reported) return nullptr;
  request->reported = true;
  request->times.compute_start = InstantOf(exec_start_ns);
  request->times.compute_input_end = InstantOf(compute_start_ns);
  request->times.compute_output_start = InstantOf(compute_end_ns);
  request->times.compute_end = InstantOf(exec_end_ns);
  const TRITONBACKEND_Model& model = *instance->model;
  const tepal::Duration total = model.clock->Now() - request->times.received;
  if (!success) {
    const bool cancelled =
        request->held != nullptr && request->held->status.code() == tepal::StatusCode::kCancelled;
    model.statistics->AddFailure(
        cancelled ? tepal::FailureReason::kCanceled : tepal::FailureReason::kBackend, total);
    return nullptr;
  }
  model.statistics->AddSuccess({total, InstantOf(exec_start_ns) - request->times.queued,
                                Between(exec_start_ns, compute_start_ns),
                                Between(compute_start_ns, compute_end_ns),
                                Between(compute_end_ns, exec_end_ns), model.clock->WallNow()});
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportBatchStatistics(
    TRITONBACKEND_ModelInstance* instance, const uint64_t batch_size, const uint64_t exec_start_ns,
    const uint64_t compute_start_ns, const uint64_t compute_end_ns, const uint64_t exec_end_ns) {
  instance->model->statistics->AddExecution(batch_size, Between(exec_start_ns, compute_start_ns),
                                            Between(compute_start_ns, compute_end_ns),
                                            Between(compute_end_ns, exec_end_ns));
  return nullptr;
}

// ---- Responses of decoupled models --------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsNew(
    TRITONBACKEND_ModelInstanceResponseStatistics** response_statistics) {
  *response_statistics =
      std::make_unique<TRITONBACKEND_ModelInstanceResponseStatistics>().release();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsDelete(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics) {
  std::unique_ptr<TRITONBACKEND_ModelInstanceResponseStatistics>{response_statistics};
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetModelInstance(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics,
    TRITONBACKEND_ModelInstance* model_instance) {
  response_statistics->instance = model_instance;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseFactory(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics,
    TRITONBACKEND_ResponseFactory* response_factory) {
  response_statistics->factory = response_factory;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseStart(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics, uint64_t response_start) {
  response_statistics->response_start_ns = response_start;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetComputeOutputStart(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics,
    uint64_t compute_output_start) {
  response_statistics->compute_output_start_ns = compute_output_start;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseEnd(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics, uint64_t response_end) {
  response_statistics->response_end_ns = response_end;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetError(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics, TRITONSERVER_Error* error) {
  response_statistics->error = error;
  return nullptr;
}

// Accepted, and kept nowhere: the statistics have no part by response yet.
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportResponseStatistics(
    TRITONBACKEND_ModelInstanceResponseStatistics* response_statistics) {
  if (response_statistics->instance == nullptr || response_statistics->factory == nullptr) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    "response statistics need a model instance and a response factory");
  }
  return nullptr;
}

}  // extern "C"
