#include "backends/onnxruntime/cuda_graph.h"

#include <vector>

namespace tepal_plugin {

Error* CudaGraph::Record(CudaQueue& queue, const std::function<Error*()>& work,
                         std::unique_ptr<CudaGraph>& out) {
  std::unique_ptr<CudaGraph> graph(new CudaGraph(queue));
  std::string problem;
  graph->api_ = cuda::CudaGraphApi::Load(queue.driver(), problem);
  if (graph->api_ == nullptr) {
    return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "CUDA's driver has no graphs: " + problem);
  }
  const cuda::CudaGraphApi& api = *graph->api_;
  TEPAL_RETURN_IF_ERROR(queue.Check(api.BeginCapture(queue.stream(), cuda::kCudaCaptureThreadLocal),
                                    "recording a graph on"));
  Error* failed = work();
  // Always, or the stream would stay as it is.
  const cuda::CudaResult ended = api.EndCapture(queue.stream(), &graph->graph_);
  if (failed != nullptr) return failed;
  TEPAL_RETURN_IF_ERROR(queue.Check(ended, "recording a graph on"));
  TEPAL_RETURN_IF_ERROR(graph->CheckNodes());
  TEPAL_RETURN_IF_ERROR(
      queue.Check(api.Instantiate(&graph->launchable_, graph->graph_, 0), "making a graph for"));
  out = std::move(graph);
  return nullptr;
}

CudaGraph::~CudaGraph() {
  if (api_ == nullptr) return;
  const cuda::CudaContextScope scope(queue_.api(), queue_.context());
  if (launchable_ != nullptr) api_->ExecDestroy(launchable_);
  if (graph_ != nullptr) api_->Destroy(graph_);
}

Error* CudaGraph::Launch() {
  return queue_.Check(api_->Launch(launchable_, queue_.stream()), "launching a graph on");
}

Error* CudaGraph::CheckNodes() const {
  size_t count = 0;
  TEPAL_RETURN_IF_ERROR(
      queue_.Check(api_->GetNodes(graph_, nullptr, &count), "reading a graph of"));
  if (count == 0) return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "nothing was put on the stream");
  std::vector<cuda::CudaGraphNode> nodes(count);
  TEPAL_RETURN_IF_ERROR(
      queue_.Check(api_->GetNodes(graph_, nodes.data(), &count), "reading a graph of"));
  for (const cuda::CudaGraphNode node : nodes) TEPAL_RETURN_IF_ERROR(CheckNode(node));
  return nullptr;
}

Error* CudaGraph::CheckNode(cuda::CudaGraphNode node) const {
  int type = 0;
  TEPAL_RETURN_IF_ERROR(queue_.Check(api_->GetType(node, &type), "reading a graph of"));
  switch (type) {
    case cuda::kCudaKernelNode:
    case cuda::kCudaMemsetNode:
    case cuda::kCudaEmptyNode:
    case cuda::kCudaMemAllocNode:
    case cuda::kCudaMemFreeNode:
      return nullptr;
    case cuda::kCudaMemcpyNode: {
      cuda::CudaCopy copy{};
      TEPAL_RETURN_IF_ERROR(queue_.Check(api_->GetCopy(node, &copy), "reading a graph of"));
      if (copy.from.memory == cuda::kCudaMemoryOfDevice &&
          copy.to.memory == cuda::kCudaMemoryOfDevice) {
        return nullptr;
      }
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "the model copies memory of the host");
    }
    case cuda::kCudaHostNode:
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "the model calls functions of the host");
    default:
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "the model puts work of CUDA's node type " +
                                                      std::to_string(type) + " on the stream");
  }
}

}  // namespace tepal_plugin
