// Batches of requests on something that executes them as a whole: a GPU, or a library on the CPU.
//
// A DeviceRunner takes inputs from wherever they lie and brings results to wherever they are
// wanted, copies and execution going on at once if it can; RunGroupOnDevice leads the requests of
// one batch through it and answers them. Header-only, like plugin.h.

#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

// Requests [begin, end) of a batch whose tensors fit together, to run as one.
struct RequestGroup {
  size_t begin = 0;
  size_t end = 0;
  std::vector<std::vector<Input>> inputs;  // By input of the model, then by request.
  std::vector<int64_t> rows;               // Of each request.
  int64_t total_rows = 0;
  Times times;
};

struct RunnerInput {
  std::vector<int64_t> shape;     // Of the whole batch.
  std::vector<MemoryPart> parts;  // One after the other.

  size_t byte_size() const {
    size_t size = 0;
    for (const MemoryPart& part : parts) size += part.size;
    return size;
  }
};

struct RunnerResult {
  TRITONSERVER_DataType type = TRITONSERVER_TYPE_INVALID;
  std::vector<int64_t> shape;
  size_t byte_size = 0;
};

// Bytes [from, from + to.size) of result `result`, and where they are wanted.
struct Delivery {
  size_t result = 0;
  size_t from = 0;
  MemoryPart to;
};

// Not thread-safe: Load, Run, Deliver, and again. After an error of any of them, Load is next, and
// nothing of the parts is read or written any more.
class DeviceRunner {
 public:
  virtual ~DeviceRunner() = default;

  // Begins to bring the inputs, in the order of the model's, to the device. The parts stay as they
  // are until Deliver returns.
  virtual Error* Load(const std::vector<RunnerInput>& inputs) = 0;

  // Begins to execute; results are in the order of the model's outputs.
  virtual Error* Run(std::vector<RunnerResult>& results) = 0;

  // Waits, and has copied everything when it returns.
  virtual Error* Deliver(const std::vector<Delivery>& deliveries) = 0;
};

// Puts the bytes of `parts` one after the other to `to`, on a GPU. Neighbours that the GPU cannot
// reach are joined in pinned memory, which Error* stage(std::byte*& pinned) gives once, and go from
// there in one copy. Error* copy(to, from, size) puts a copy on the stream.
template <typename Stage, typename Copy>
Error* UploadParts(const std::vector<MemoryPart>& parts, std::byte* to, Stage stage, Copy copy) {
  std::byte* pinned = nullptr;
  size_t at = 0;
  size_t copied = 0;
  const auto flush = [&]() -> Error* {
    return at == copied ? nullptr : copy(to + copied, pinned + copied, at - copied);
  };
  for (const MemoryPart& part : parts) {
    if (part.size == 0) continue;
    if (part.gpu_reaches()) {
      TEPAL_RETURN_IF_ERROR(flush());
      TEPAL_RETURN_IF_ERROR(copy(to + at, part.data, part.size));
      copied = at + part.size;
    } else {
      if (pinned == nullptr) TEPAL_RETURN_IF_ERROR(stage(pinned));
      std::memcpy(pinned + at, part.data, part.size);
    }
    at += part.size;
  }
  return flush();
}

// What RunGroupOnDevice needs to know of a model.
struct DeviceModel {
  std::string name;
  std::vector<std::string> outputs;
  bool batches = false;
};

namespace device {

struct Answer {
  Response response;
  Error* error = nullptr;
};

inline Error* Compute(DeviceRunner& runner, const DeviceModel& model, RequestGroup& group,
                      std::vector<RunnerResult>& results) {
  std::vector<RunnerInput> inputs;
  for (const std::vector<Input>& requests : group.inputs) {
    RunnerInput& input = inputs.emplace_back();
    input.shape.assign(requests[0].shape.begin(), requests[0].shape.end());
    if (requests.size() > 1) input.shape[0] = group.total_rows;
    for (const Input& request : requests) {
      for (uint32_t i = 0; i < request.buffer_count; ++i) {
        TEPAL_RETURN_IF_ERROR(request.PartAnywhere(i, input.parts.emplace_back()));
      }
    }
  }
  TEPAL_RETURN_IF_ERROR(runner.Load(inputs));
  group.times.compute_start = NowNs();
  TEPAL_RETURN_IF_ERROR(runner.Run(results));
  for (size_t i = 0; model.batches && i < results.size(); ++i) {
    const std::vector<int64_t>& shape = results[i].shape;
    if (!shape.empty() && shape[0] == group.total_rows) continue;
    return Internal("output '" + model.outputs[i] + "' of model '" + model.name + "' has shape " +
                    ShapeText(shape) + ", a batch of " + std::to_string(group.total_rows) +
                    " rows needs that number first");
  }
  return nullptr;
}

inline Error* AddOutputs(const DeviceModel& model, Request request, Response& response,
                         const std::vector<RunnerResult>& results, int64_t first, int64_t rows,
                         std::vector<Delivery>& deliveries) {
  for (size_t k = 0; k < results.size(); ++k) {
    const std::string& name = model.outputs[k];
    if (!request.Wants(name)) continue;
    std::vector<int64_t> shape = results[k].shape;
    Delivery delivery{k, 0, {}};
    size_t size = results[k].byte_size;
    if (model.batches && shape[0] > 0) {
      const size_t row = size / static_cast<size_t>(shape[0]);
      shape[0] = rows;
      delivery.from = static_cast<size_t>(first) * row;
      size = static_cast<size_t>(rows) * row;
    }
    TEPAL_RETURN_IF_ERROR(
        response.AddOutputAnywhere(name.c_str(), results[k].type, shape, size, delivery.to));
    deliveries.push_back(delivery);
  }
  return nullptr;
}

// Where each request of the group wants its rows of the results.
inline void PrepareAnswers(const DeviceModel& model, RequestBatch& batch, const RequestGroup& group,
                           const std::vector<RunnerResult>& results, std::vector<Answer>& answers,
                           std::vector<Delivery>& deliveries) {
  int64_t first = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    Answer& answer = answers.emplace_back();
    const int64_t rows = group.rows[i - group.begin];
    const size_t deliveries_before = deliveries.size();
    answer.error = Response::To(batch[i], answer.response);
    if (answer.error == nullptr) {
      answer.error = AddOutputs(model, batch[i], answer.response, results, first, rows, deliveries);
    }
    // Of a request that fails nothing is written.
    if (answer.error != nullptr) deliveries.resize(deliveries_before);
    first += rows;
  }
}

}  // namespace device

// Answers every request of the group and reports them.
inline void RunGroupOnDevice(DeviceRunner& runner, const DeviceModel& model, RequestBatch& batch,
                             RequestGroup& group) {
  std::vector<RunnerResult> results;
  std::vector<device::Answer> answers;
  std::vector<Delivery> deliveries;
  Error* failed = device::Compute(runner, model, group, results);
  if (failed == nullptr) {
    device::PrepareAnswers(model, batch, group, results, answers, deliveries);
    failed = runner.Deliver(deliveries);
  } else {
    TRITONSERVER_ErrorDelete(runner.Deliver({}));  // What has begun must end before the answers.
  }
  group.times.compute_end = group.times.exec_end = NowNs();
  for (size_t i = group.begin; i < group.end; ++i) {
    if (answers.empty()) {
      batch.FinishWithError(
          i, Fail(TRITONSERVER_ErrorCode(failed), TRITONSERVER_ErrorMessage(failed)), group.times);
      continue;
    }
    device::Answer& answer = answers[i - group.begin];
    if (failed != nullptr && answer.error == nullptr) {
      answer.error = Fail(TRITONSERVER_ErrorCode(failed), TRITONSERVER_ErrorMessage(failed));
    }
    batch.Finish(i, std::move(answer.response), answer.error, group.times);
  }
  if (failed == nullptr) batch.ReportBatch(static_cast<uint64_t>(group.total_rows), group.times);
  TRITONSERVER_ErrorDelete(failed);
}

}  // namespace tepal_plugin
