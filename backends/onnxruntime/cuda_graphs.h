// The CUDA graphs of one instance: a batch of each of a few sizes, recorded as the instance starts.
//
// ONNX Runtime's own recording (enable_cuda_graph) is not used: it holds up every thread of the
// process that uses CUDA, and keeps a graph for each thread. Its runs are recorded from outside.
// Once there are graphs, every batch must go through one: a plain run may move memory that a graph
// was recorded with.

#pragma once

#include "backends/onnxruntime/cuda_graph.h"
#include "backends/onnxruntime/cuda_session.h"

namespace tepal_plugin {

class CudaGraphs {
 public:
  explicit CudaGraphs(CudaSession& session) : session_(session) {}

  // Runs the model with each size, records it, and compares what the graphs give with what the runs
  // gave. After an error the session is not to be used further: what memory its kernels hold is not
  // known. Within the queue's context, as Launch.
  Error* Record(const CudaOptions& options);

  // The smallest size that holds so many rows is chosen; rows 1 to the largest.
  void Choose(int64_t rows);
  // Inputs are copied here before, results lie in `places` behind it. The batch has the rows that
  // were chosen for; what the inputs hold beyond them is executed and ignored.
  std::byte* input(size_t index) const { return inputs_[index].data(); }
  Error* Launch(std::vector<RunnerResult>& results, std::vector<std::byte*>& places);

 private:
  struct Batch {
    int64_t rows = 0;
    std::unique_ptr<CudaBinding> binding;
    std::unique_ptr<CudaGraph> graph;
    std::vector<RunnerResult> results;
    std::vector<std::vector<std::byte>> expected;  // Until all are recorded.
  };
  Error* RecordBatch(const CudaOptions& options, Batch& batch);
  Error* FillInputs();
  Error* Fetch(const Batch& batch, std::vector<std::vector<std::byte>>& out);
  Error* Compare(const Batch& batch);

  CudaSession& session_;
  std::vector<CudaBlock> inputs_, outputs_;  // Of all sizes, which run one after the other.
  std::vector<size_t> input_bytes_;          // Of the largest.
  std::vector<Batch> batches_;               // Ascending in rows.
  int64_t rows_ = 0;
  Batch* chosen_ = nullptr;
};

// Whether two tensors say the same but for rounding.
bool SameResult(TRITONSERVER_DataType type, const std::vector<std::byte>& a,
                const std::vector<std::byte>& b);

}  // namespace tepal_plugin
