#include "backends/pytorch/runner.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <mutex>
#include <optional>

#include "backends/pytorch/cpu_memory.h"
#include "backends/pytorch/gpu.h"
#include "backends/pytorch/loaded_module.h"
#include "backends/pytorch/torch_types.h"

namespace tepal_plugin {
namespace {

// Memory of the CPU that grows and is kept, pinned where a GPU copies from it.
class Staging {
 public:
  std::byte* Take(bool gpu, size_t size) {
    if (!block_.defined() || block_.nbytes() < size) {
      block_ = gpu ? PinnedBytes(size) : at::empty({static_cast<int64_t>(size)}, at::kByte);
    }
    return static_cast<std::byte*>(block_.data_ptr());
  }

 private:
  at::Tensor block_;
};

// What every execution runs under, on whichever thread it comes.
class ExecutionGuard {
 public:
  explicit ExecutionGuard(const TorchSettings& settings)
      : inference_(settings.inference_mode),
        no_gradients_(false),
        optimizer_(settings.optimized_execution) {}

 private:
  c10::InferenceMode inference_;
  at::AutoGradMode no_gradients_;
  torch::jit::GraphOptimizerEnabledGuard optimizer_;
};

std::byte* BytesOf(const at::Tensor& tensor) { return static_cast<std::byte*>(tensor.data_ptr()); }

class Runner final : public TorchRunner {
 public:
  Runner(std::shared_ptr<LoadedModule> module, const std::string& model,
         const TorchSettings& settings)
      : module_(std::move(module)),
        subject_("model '" + model + "': "),
        settings_(settings),
        forward_(*module_, subject_, settings_) {
    staging_.resize(settings_.inputs.size());
    returning_.resize(settings_.outputs.size());
    if (gpu()) stream_.emplace(module_->ordinal);
  }

  // The batch's own tensors first, so that they are among what is trimmed.
  ~Runner() override {
    placed_.clear();
    outputs_.clear();
    if (!gpu()) TrimCpuTensors();
  }

  Error* Prepare(const std::string& model) {
    TEPAL_RETURN_IF_ERROR(forward_.Prepare(model));
    if (settings_.graph_batch_sizes.empty() || !gpu()) return nullptr;
    return CaptureGraphs();
  }

  Error* Load(const std::vector<RunnerInput>& inputs) override {
    return Guarded("copying inputs", [&]() -> Error* {
      placed_.clear();
      rows_ = inputs[0].shape.empty() ? 1 : inputs[0].shape[0];
      graph_ = GraphFor(rows_);
      for (size_t i = 0; i < inputs.size(); ++i) {
        TEPAL_RETURN_IF_ERROR(Place(i, inputs[i]));
      }
      return nullptr;
    });
  }

  Error* Run(std::vector<RunnerResult>& results) override {
    return Guarded("running", [&]() -> Error* {
      outputs_.clear();
      if (graph_ != nullptr) {
        graph_->Replay(rows_, outputs_);
      } else {
        TEPAL_RETURN_IF_ERROR(forward_.Run(placed_, outputs_));
      }
      for (at::Tensor& output : outputs_) {
        output = output.contiguous();
        results.push_back(
            {DataTypeOf(output.scalar_type()), output.sizes().vec(), output.nbytes()});
      }
      return nullptr;
    });
  }

  Error* Deliver(const std::vector<Delivery>& deliveries) override {
    return Guarded("copying outputs", [&]() -> Error* {
      if (!gpu()) {
        CopyOnCpu(deliveries, [&](size_t result) { return BytesOf(outputs_[result]); });
        return nullptr;
      }
      // What ordinary memory wants of a result comes to pinned memory in one copy, all of it.
      std::vector<std::byte*> host(outputs_.size());
      for (const Delivery& delivery : deliveries) {
        const at::Tensor& output = outputs_[delivery.result];
        if (delivery.to.gpu_reaches()) {
          stream_->Copy(delivery.to.data, BytesOf(output) + delivery.from, delivery.to.size);
        } else if (std::byte*& staged = host[delivery.result]; staged == nullptr) {
          staged = returning_[delivery.result].Take(true, output.nbytes());
          stream_->Copy(staged, BytesOf(output), output.nbytes());
        }
      }
      stream_->Wait();
      CopyOnCpu(deliveries, [&](size_t result) { return host[result]; });
      if (settings_.cache_cleaning) CleanGpuCache();
      return nullptr;
    });
  }

 private:
  bool gpu() const { return module_->gpu(); }

  template <typename SourceOf>
  void CopyOnCpu(const std::vector<Delivery>& deliveries, SourceOf source_of) const {
    for (const Delivery& delivery : deliveries) {
      if ((gpu() && delivery.to.gpu_reaches()) || delivery.to.size == 0) continue;
      std::memcpy(delivery.to.data, source_of(delivery.result) + delivery.from, delivery.to.size);
    }
  }

  CapturedBatch* GraphFor(int64_t rows) {
    for (CapturedBatch& graph : graphs_) {
      if (graph.rows() >= rows) return &graph;
    }
    return nullptr;
  }

  // Input `index` as a tensor on the device.
  Error* Place(size_t index, const RunnerInput& input) {
    const at::ScalarType type = ScalarTypeOf(settings_.inputs[index].type);
    const size_t needed = static_cast<size_t>(c10::multiply_integers(input.shape)) *
                          static_cast<size_t>(c10::elementSize(type));
    const size_t given = input.byte_size();
    if (given != needed) {
      return InvalidArgument(subject_ + "input '" + settings_.inputs[index].name + "' has " +
                             std::to_string(given) + " bytes, its shape " + ShapeText(input.shape) +
                             " needs " + std::to_string(needed));
    }
    if (!gpu()) {
      std::byte* to = staging_[index].Take(false, needed);
      placed_.push_back(at::from_blob(to, input.shape, at::TensorOptions(type)));
      for (const MemoryPart& part : input.parts) {
        if (part.size > 0) std::memcpy(to, part.data, part.size);
        to += part.size;
      }
      return nullptr;
    }
    placed_.push_back(graph_ != nullptr ? graph_->input(index).narrow(0, 0, rows_)
                                        : at::empty(input.shape, at::TensorOptions(type).device(
                                                                     module_->device)));
    return UploadParts(
        input.parts, BytesOf(placed_.back()),
        [&](std::byte*& pinned) -> Error* {
          pinned = staging_[index].Take(true, needed);
          return nullptr;
        },
        [&](std::byte* to, const std::byte* from, size_t size) -> Error* {
          stream_->Copy(to, from, size);
          return nullptr;
        });
  }

  // Runs `call` on the stream; what LibTorch throws becomes an error. A GPU without memory is not
  // the server's end.
  template <typename Call>
  Error* Guarded(const std::string& doing, Call call) {
    Error* error = nullptr;
    try {
      // OpenMP counts threads by thread: without this, only the thread that set the number keeps to
      // it.
      at::internal::lazy_init_num_threads();
      const ExecutionGuard execution(settings_);
      const GpuStream::Use on_stream(stream_ ? &*stream_ : nullptr);
      error = call();
    } catch (const c10::Error& thrown) {
      error = Failure(doing, thrown.what_without_backtrace());
    } catch (const std::exception& thrown) {
      error = Failure(doing, thrown.what());
    }
    if (error != nullptr && gpu()) Settle();
    return error;
  }

  // Copies may be under way from and to memory of requests that are about to be answered.
  void Settle() {
    try {
      stream_->Wait();
    } catch (const std::exception& thrown) {
      Log(TRITONSERVER_LOG_ERROR, subject_ + "waiting for the GPU failed: " + thrown.what());
    }
  }

  Error* Failure(const std::string& doing, std::string what) {
    // The TorchScript interpreter puts its own stack in front of what happened.
    constexpr std::string_view kCause = "RuntimeError: ";
    if (const size_t at = what.rfind(kCause); at != std::string::npos) {
      what = what.substr(at + kCause.size());
    }
    const bool memory = what.find("out of memory") != std::string::npos;
    if (memory && gpu()) CleanGpuCache();
    return Fail(memory ? TRITONSERVER_ERROR_UNAVAILABLE : TRITONSERVER_ERROR_INTERNAL,
                subject_ + doing + " failed: " + what);
  }

  Error* CaptureGraphs() {
    return Guarded("capturing a CUDA graph", [&]() -> Error* {
      // The largest first: the others then fit into its memory.
      for (size_t i = settings_.graph_batch_sizes.size(); i-- > 0;) {
        const int64_t rows = settings_.graph_batch_sizes[i];
        std::vector<at::Tensor> inputs;
        for (const TensorSettings& input : settings_.inputs) {
          std::vector<int64_t> shape = input.dims;
          shape.insert(shape.begin(), rows);
          inputs.push_back(at::zeros(
              shape, at::TensorOptions(ScalarTypeOf(input.type)).device(module_->device)));
        }
        CapturedBatch graph(rows, std::move(inputs));
        TEPAL_RETURN_IF_ERROR(
            graph.Capture([&](const std::vector<at::Tensor>& from,
                              std::vector<at::Tensor>& to) { return forward_.Run(from, to); },
                          *stream_, graphs_.empty() ? nullptr : &graphs_.front()));
        graphs_.insert(graphs_.begin(), std::move(graph));
      }
      return nullptr;
    });
  }

  const std::shared_ptr<LoadedModule> module_;
  const std::string subject_;
  const TorchSettings settings_;
  ForwardCall forward_;
  std::optional<GpuStream> stream_;
  std::vector<Staging> staging_, returning_;
  std::vector<CapturedBatch> graphs_;  // Ascending in rows.

  // Of the batch at hand.
  int64_t rows_ = 0;
  CapturedBatch* graph_ = nullptr;
  std::vector<at::Tensor> placed_, outputs_;
};

// What holds for the whole process. Of threads, the first model that asks decides, as in Triton.
void SetProcess(const TorchSettings& settings) {
  static std::once_flag intra, inter;
  if (settings.intra_op_threads > 0) {
    std::call_once(intra,
                   [&] { at::set_num_threads(static_cast<int>(settings.intra_op_threads)); });
  }
  if (settings.inter_op_threads > 0) {
    std::call_once(
        inter, [&] { at::set_num_interop_threads(static_cast<int>(settings.inter_op_threads)); });
  }
  if (settings.jit_executor) torch::jit::getExecutorMode() = *settings.jit_executor;
  if (settings.jit_profiling) torch::jit::getProfilingMode() = *settings.jit_profiling;
  if (settings.tensor_fuser) torch::jit::setTensorExprFuserEnabled(*settings.tensor_fuser);
  if (!settings.cudnn) at::globalContext().setUserEnabledCuDNN(false);
}

}  // namespace

Error* TorchRunner::Make(std::shared_ptr<LoadedModule> module, const std::string& model,
                         const TorchSettings& settings, std::unique_ptr<TorchRunner>& out) {
  SetProcess(settings);
  auto runner = std::make_unique<Runner>(std::move(module), model, settings);
  TEPAL_RETURN_IF_ERROR(runner->Prepare(model));
  out = std::move(runner);
  return nullptr;
}

}  // namespace tepal_plugin
