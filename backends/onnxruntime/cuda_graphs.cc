#include "backends/onnxruntime/cuda_graphs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace tepal_plugin {
namespace {

// Algorithms are chosen and memory is laid out in the first runs of a size.
constexpr int kWarmUps = 3;
constexpr double kDifferenceMax = 1e-2;  // Of numbers around 1; kernels may add in any order.

template <typename Number>
bool Near(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  for (size_t at = 0; at + sizeof(Number) <= a.size(); at += sizeof(Number)) {
    Number x, y;
    std::memcpy(&x, a.data() + at, sizeof(x));
    std::memcpy(&y, b.data() + at, sizeof(y));
    if (std::isnan(x) && std::isnan(y)) continue;
    const double larger = std::max<double>({1.0, std::abs(x), std::abs(y)});
    if (!(std::abs(x - y) <= kDifferenceMax * larger)) return false;
  }
  return true;
}

}  // namespace

bool SameResult(TRITONSERVER_DataType type, const std::vector<std::byte>& a,
                const std::vector<std::byte>& b) {
  if (a.size() != b.size()) return false;
  if (type == TRITONSERVER_TYPE_FP32) return Near<float>(a, b);
  if (type == TRITONSERVER_TYPE_FP64) return Near<double>(a, b);
  return a == b;
}

Error* CudaGraphs::Record(const CudaOptions& options) {
  CudaQueue& queue = session_.queue();
  if (session_.inputs().empty()) return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "it has no inputs");
  for (size_t i = 0; i < session_.inputs().size(); ++i) inputs_.emplace_back(queue, false);
  for (size_t i = 0; i < session_.outputs().size(); ++i) outputs_.emplace_back(queue, false);
  batches_.resize(options.graph_batch_sizes.size());
  // The largest first: the blocks must not move any more once a graph knows them.
  for (size_t i = batches_.size(); i-- > 0;) {
    batches_[i].rows = options.graph_batch_sizes[i];
    TEPAL_RETURN_IF_ERROR(RecordBatch(options, batches_[i]));
  }
  for (const Batch& batch : batches_) TEPAL_RETURN_IF_ERROR(Compare(batch));
  for (Batch& batch : batches_) batch.expected.clear();
  return nullptr;
}

Error* CudaGraphs::RecordBatch(const CudaOptions& options, Batch& batch) {
  std::vector<std::vector<int64_t>> shapes;
  for (const OrtTensorFacts& input : session_.inputs()) {
    const auto found = options.graph_inputs.find(input.name);
    if (found == options.graph_inputs.end()) {
      return Internal("input '" + input.name + "' is not in the configuration");
    }
    std::vector<int64_t>& shape = shapes.emplace_back(found->second);
    shape.insert(shape.begin(), batch.rows);
    if (input_bytes_.size() < session_.inputs().size()) {
      input_bytes_.push_back(BytesOf(shape, input.type));
    }
  }
  batch.binding = std::make_unique<CudaBinding>(session_);
  TEPAL_RETURN_IF_ERROR(batch.binding->Open());
  TEPAL_RETURN_IF_ERROR(batch.binding->BindInputs(shapes, inputs_));
  if (&batch == &batches_.back()) TEPAL_RETURN_IF_ERROR(FillInputs());
  // Once with outputs anywhere, to learn their shapes.
  std::vector<std::byte*> places;
  TEPAL_RETURN_IF_ERROR(batch.binding->Run());
  TEPAL_RETURN_IF_ERROR(batch.binding->ReadResults(batch.results, places));
  TEPAL_RETURN_IF_ERROR(session_.queue().Wait());
  for (size_t i = 0; i < batch.results.size(); ++i) {
    if (!batch.results[i].shape.empty() && batch.results[i].shape[0] == batch.rows) continue;
    return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                "output '" + session_.outputs()[i].name + "' of a batch of " +
                    std::to_string(batch.rows) + " rows has shape " +
                    ShapeText(batch.results[i].shape));
  }
  TEPAL_RETURN_IF_ERROR(batch.binding->BindInputs(shapes, inputs_));
  TEPAL_RETURN_IF_ERROR(batch.binding->BindOutputs(batch.results, outputs_));
  for (int i = 0; i < kWarmUps; ++i) TEPAL_RETURN_IF_ERROR(batch.binding->Run());
  TEPAL_RETURN_IF_ERROR(Fetch(batch, batch.expected));
  return CudaGraph::Record(
      session_.queue(), [&] { return batch.binding->Run(); }, batch.graph);
}

// Numbers from 0 to 1; zeros, which are good indices too, for all but FP32 and FP64.
Error* CudaGraphs::FillInputs() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    std::vector<std::byte> bytes(input_bytes_[i]);
    std::minstd_rand random(1);
    std::uniform_real_distribution<float> number(0, 1);
    const auto fill = [&](auto kind) {
      for (size_t at = 0; at + sizeof(kind) <= bytes.size(); at += sizeof(kind)) {
        kind = number(random);
        std::memcpy(bytes.data() + at, &kind, sizeof(kind));
      }
    };
    if (session_.inputs()[i].type == TRITONSERVER_TYPE_FP32) fill(float{});
    if (session_.inputs()[i].type == TRITONSERVER_TYPE_FP64) fill(double{});
    TEPAL_RETURN_IF_ERROR(session_.queue().Copy(inputs_[i].data(), bytes.data(), bytes.size()));
    TEPAL_RETURN_IF_ERROR(session_.queue().Wait());
  }
  return nullptr;
}

Error* CudaGraphs::Fetch(const Batch& batch, std::vector<std::vector<std::byte>>& out) {
  CudaQueue& queue = session_.queue();
  out.resize(batch.results.size());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].resize(batch.results[i].byte_size);
    TEPAL_RETURN_IF_ERROR(queue.Copy(out[i].data(), outputs_[i].data(), out[i].size()));
  }
  return queue.Wait();
}

Error* CudaGraphs::Compare(const Batch& batch) {
  CudaQueue& queue = session_.queue();
  // So that a graph which writes nothing is found out.
  for (size_t i = 0; i < batch.results.size(); ++i) {
    const std::vector<std::byte> marks(batch.results[i].byte_size, std::byte{0x6b});
    TEPAL_RETURN_IF_ERROR(queue.Copy(outputs_[i].data(), marks.data(), marks.size()));
    TEPAL_RETURN_IF_ERROR(queue.Wait());
  }
  TEPAL_RETURN_IF_ERROR(batch.graph->Launch());
  std::vector<std::vector<std::byte>> given;
  TEPAL_RETURN_IF_ERROR(Fetch(batch, given));
  for (size_t i = 0; i < given.size(); ++i) {
    if (SameResult(batch.results[i].type, given[i], batch.expected[i])) continue;
    return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                "the graph of " + std::to_string(batch.rows) + " rows gives another '" +
                    session_.outputs()[i].name + "' than a plain run");
  }
  return nullptr;
}

void CudaGraphs::Choose(int64_t rows) {
  rows_ = rows;
  for (Batch& batch : batches_) {
    chosen_ = &batch;
    if (batch.rows >= rows) return;
  }
}

Error* CudaGraphs::Launch(std::vector<RunnerResult>& results, std::vector<std::byte*>& places) {
  results = chosen_->results;
  places.clear();
  for (size_t i = 0; i < results.size(); ++i) {
    const size_t row = results[i].byte_size / static_cast<size_t>(chosen_->rows);
    results[i].byte_size = row * static_cast<size_t>(rows_);
    results[i].shape[0] = rows_;
    places.push_back(outputs_[i].data());
  }
  return chosen_->graph->Launch();
}

}  // namespace tepal_plugin
