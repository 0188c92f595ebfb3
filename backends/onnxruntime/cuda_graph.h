// What a stream was given to do, recorded once and launched as one from then on.

#pragma once

#include <functional>
#include <memory>

#include "backends/onnxruntime/cuda_memory.h"
#include "core/gpu/cuda_graph_api.h"

namespace tepal_plugin {

// Used within the queue's context; the queue outlives it.
class CudaGraph {
 public:
  // Records what `work` puts on the queue's stream; nothing of it is executed. Only this thread is
  // recorded: others may use CUDA meanwhile, LibTorch's recordings among them.
  //
  // An error, and no graph, when the work fails or cannot be recorded, and when it calls functions
  // of the host or copies memory of the host: what they use may be gone when the graph is launched.
  static Error* Record(CudaQueue& queue, const std::function<Error*()>& work,
                       std::unique_ptr<CudaGraph>& out);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  // Behind what is on the stream.
  Error* Launch();

 private:
  explicit CudaGraph(CudaQueue& queue) : queue_(queue) {}
  Error* CheckNodes() const;
  Error* CheckNode(cuda::CudaGraphNode node) const;

  CudaQueue& queue_;
  std::unique_ptr<cuda::CudaGraphApi> api_;
  cuda::CudaGraphHandle graph_ = nullptr;
  cuda::CudaGraphExec launchable_ = nullptr;
};

}  // namespace tepal_plugin
