#include "backends/pytorch/module.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/api/include/torch/version.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <mutex>
#include <optional>

#include "backends/pytorch/gpu.h"
#include "backends/pytorch/torch_types.h"

namespace tepal_plugin {

struct LoadedModule {
  torch::jit::Module module;
  at::Device device = at::kCPU;
  std::vector<std::string> arguments;
};

namespace {

at::TensorOptions PinnedIf(bool gpu, at::ScalarType type) {
  return at::TensorOptions(type).pinned_memory(gpu);
}

// Memory of the CPU that grows and is kept, pinned where a GPU copies from it.
class Staging {
 public:
  at::Tensor Take(bool gpu, at::ScalarType type, at::IntArrayRef shape) {
    const size_t size = static_cast<size_t>(c10::multiply_integers(shape)) *
                        static_cast<size_t>(c10::elementSize(type));
    if (!block_.defined() || block_.nbytes() < size) {
      block_ = at::empty({static_cast<int64_t>(size)}, PinnedIf(gpu, at::kByte));
    }
    return at::from_blob(block_.data_ptr(), shape, at::TensorOptions(type));
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

Error* TensorOf(const c10::IValue& value, const std::string& subject, at::Tensor& out) {
  if (value.isTensor()) {
    out = value.toTensor();
    return nullptr;
  }
  return Internal(subject + " is a " + value.tagKind() + ", expected a tensor");
}

class Runner final : public TorchRunner {
 public:
  Runner(std::shared_ptr<LoadedModule> module, const std::string& model,
         const TorchSettings& settings)
      : module_(std::move(module)), subject_("model '" + model + "': "), settings_(settings) {
    staged_.resize(settings_.inputs.size());
    staging_.resize(settings_.inputs.size());
    if (!gpu()) return;
    const c10::impl::VirtualGuardImpl guard(module_->device.type());
    stream_ = guard.getStreamFromGlobalPool(module_->device);
  }

  Error* Prepare(const std::string& model) {
    TEPAL_RETURN_IF_ERROR(PlaceInputs(model, settings_.inputs, module_->arguments, input_places_));
    TEPAL_RETURN_IF_ERROR(PlaceOutputs(model, settings_.outputs, output_places_));
    if (settings_.graph_batch_sizes.empty() || !gpu()) return nullptr;
    return CaptureGraphs();
  }

  Error* StageInput(size_t index, const std::vector<int64_t>& shape, size_t byte_size,
                    std::byte*& to) override {
    const at::ScalarType type = ScalarTypeOf(settings_.inputs[index].type);
    staged_[index] = staging_[index].Take(gpu(), type, shape);
    if (staged_[index].nbytes() != byte_size) {
      return InvalidArgument(subject_ + "input '" + settings_.inputs[index].name + "' has " +
                             std::to_string(byte_size) + " bytes, its shape " + ShapeText(shape) +
                             " needs " + std::to_string(staged_[index].nbytes()));
    }
    to = static_cast<std::byte*>(staged_[index].data_ptr());
    return nullptr;
  }

  Error* Run(std::vector<HostTensor>& results) override {
    return Guarded("running", [&]() -> Error* {
      const ExecutionGuard execution(settings_);
      std::vector<at::Tensor> outputs;
      if (!gpu()) {
        TEPAL_RETURN_IF_ERROR(Forward(staged_, outputs));
        return Describe(outputs, results);
      }
      const c10::StreamGuard on_stream(*stream_);
      if (!Replay(outputs)) {
        std::vector<at::Tensor> inputs;
        for (const at::Tensor& staged : staged_) {
          inputs.push_back(staged.to(module_->device, /*non_blocking=*/true));
        }
        TEPAL_RETURN_IF_ERROR(Forward(inputs, outputs));
      }
      TEPAL_RETURN_IF_ERROR(ToHost(outputs));
      if (settings_.cache_cleaning) CleanGpuCache();
      return Describe(outputs, results);
    });
  }

 private:
  bool gpu() const { return !module_->device.is_cpu(); }

  // What LibTorch throws becomes an error; a GPU without memory is not the server's end.
  template <typename Call>
  Error* Guarded(const std::string& doing, Call call) {
    try {
      return call();
    } catch (const c10::Error& error) {
      return Failure(doing, error.what_without_backtrace());
    } catch (const std::exception& error) {
      return Failure(doing, error.what());
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

  // forward(inputs...) and its results in the order of the configuration's outputs.
  Error* Forward(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) {
    std::vector<c10::IValue> arguments(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) arguments[input_places_[i]] = inputs[i];
    const c10::IValue result = module_->module.forward(std::move(arguments));
    for (size_t i = 0; i < settings_.outputs.size(); ++i) {
      at::Tensor tensor;
      TEPAL_RETURN_IF_ERROR(Result(result, i, tensor));
      outputs.push_back(std::move(tensor));
    }
    return nullptr;
  }

  Error* Result(const c10::IValue& result, size_t output, at::Tensor& out) const {
    const TensorSettings& wanted = settings_.outputs[output];
    const std::string subject = subject_ + "output '" + wanted.name + "'";
    const size_t place = output_places_[output];
    size_t count = 1;
    if (result.isGenericDict()) {
      const auto dictionary = result.toGenericDict();
      const auto found = dictionary.find(wanted.name);
      if (found != dictionary.end()) {
        TEPAL_RETURN_IF_ERROR(TensorOf(found->value(), subject, out));
        return CheckResult(subject, wanted, out);
      }
      return InvalidArgument(subject + " is not a key of the dictionary that forward returns");
    }
    if (result.isTuple()) {
      const auto tuple = result.toTuple();
      count = tuple->elements().size();
      if (place < count) {
        TEPAL_RETURN_IF_ERROR(TensorOf(tuple->elements()[place], subject, out));
      }
    } else if (result.isTensorList()) {
      const auto list = result.toTensorVector();
      count = list.size();
      if (place < count) out = list[place];
    } else if (place == 0) {
      TEPAL_RETURN_IF_ERROR(TensorOf(result, subject, out));
    }
    if (place >= count) {
      return InvalidArgument(subject + " is result " + std::to_string(place) +
                             ", forward returns " + std::to_string(count));
    }
    return CheckResult(subject, wanted, out);
  }

  Error* CheckResult(const std::string& subject, const TensorSettings& wanted,
                     const at::Tensor& got) const {
    if (DataTypeOf(got.scalar_type()) == wanted.type) return nullptr;
    return InvalidArgument(subject + " is " + c10::toString(got.scalar_type()) +
                           ", the configuration says " + TRITONSERVER_DataTypeString(wanted.type));
  }

  // One copy each, behind everything else on the stream; waits for the stream.
  Error* ToHost(std::vector<at::Tensor>& outputs) {
    returning_.resize(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      const at::Tensor contiguous = outputs[i].contiguous();
      at::Tensor host = returning_[i].Take(true, contiguous.scalar_type(), contiguous.sizes());
      host.copy_(contiguous, /*non_blocking=*/true);
      outputs[i] = std::move(host);
    }
    waiter_.Wait(*stream_);
    return nullptr;
  }

  Error* Describe(std::vector<at::Tensor>& outputs, std::vector<HostTensor>& results) {
    results.clear();
    kept_.clear();
    for (at::Tensor& output : outputs) {
      kept_.push_back(output.contiguous());
      const at::Tensor& tensor = kept_.back();
      HostTensor& result = results.emplace_back();
      result.type = DataTypeOf(tensor.scalar_type());
      result.shape = tensor.sizes().vec();
      result.data = static_cast<const std::byte*>(tensor.data_ptr());
      result.byte_size = tensor.nbytes();
    }
    return nullptr;
  }

  // Whether a graph took the batch: copies its rows in and replays.
  bool Replay(std::vector<at::Tensor>& outputs) {
    if (graphs_.empty()) return false;
    const int64_t rows = staged_[0].size(0);
    for (CapturedBatch& graph : graphs_) {
      if (graph.rows() < rows) continue;
      graph.Replay(staged_, rows, outputs);
      return true;
    }
    return false;
  }

  Error* CaptureGraphs() {
    return Guarded("capturing a CUDA graph", [&]() -> Error* {
      const ExecutionGuard execution(settings_);
      const c10::StreamGuard on_stream(*stream_);
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
                              std::vector<at::Tensor>& to) { return Forward(from, to); },
                          *stream_, graphs_.empty() ? nullptr : &graphs_.front()));
        graphs_.insert(graphs_.begin(), std::move(graph));
      }
      return nullptr;
    });
  }

  const std::shared_ptr<LoadedModule> module_;
  const std::string subject_;
  const TorchSettings settings_;
  std::vector<size_t> input_places_, output_places_;
  std::optional<c10::Stream> stream_;
  StreamWaiter waiter_;
  std::vector<Staging> staging_, returning_;
  std::vector<at::Tensor> staged_;     // Inputs of the next Run.
  std::vector<at::Tensor> kept_;       // What `results` points to.
  std::vector<CapturedBatch> graphs_;  // Ascending in rows.
};

// Threads are the process's: the first model that asks decides, as in Triton.
void SetThreads(const TorchSettings& settings) {
  static std::once_flag intra, inter;
  if (settings.intra_op_threads > 0) {
    std::call_once(intra,
                   [&] { at::set_num_threads(static_cast<int>(settings.intra_op_threads)); });
  }
  if (settings.inter_op_threads > 0) {
    std::call_once(
        inter, [&] { at::set_num_interop_threads(static_cast<int>(settings.inter_op_threads)); });
  }
  if (!settings.cudnn) at::globalContext().setUserEnabledCuDNN(false);
}

}  // namespace

int GpuCount() {
  if (!c10::impl::hasDeviceGuardImpl(at::kCUDA)) return 0;
  const c10::impl::VirtualGuardImpl guard(at::kCUDA);
  return guard.deviceCount();
}

std::string TorchText() {
  return std::string("LibTorch ") + TORCH_VERSION +
         (c10::impl::hasDeviceGuardImpl(at::kCUDA) ? " with CUDA" : " without CUDA");
}

Error* LoadModule(const std::string& path, int device, std::shared_ptr<LoadedModule>& out) {
  auto loaded = std::make_shared<LoadedModule>();
  if (device != kCpuDevice) {
    const int count = GpuCount();
    if (device >= count) {
      return Fail(TRITONSERVER_ERROR_UNAVAILABLE, "unable to load '" + path + "' on GPU " +
                                                      std::to_string(device) + ": " + TorchText() +
                                                      " finds " + std::to_string(count) + " GPUs");
    }
    loaded->device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
  }
  try {
    loaded->module = torch::jit::load(path, loaded->device);
    loaded->module.eval();
    const auto method = loaded->module.find_method("forward");
    if (!method) return InvalidArgument("unable to load '" + path + "': it has no forward method");
    const auto& arguments = method->function().getSchema().arguments();
    for (size_t i = 1; i < arguments.size(); ++i) loaded->arguments.push_back(arguments[i].name());
  } catch (const c10::Error& error) {
    return InvalidArgument("unable to load '" + path + "': " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    return InvalidArgument("unable to load '" + path + "': " + error.what());
  }
  out = std::move(loaded);
  return nullptr;
}

const std::vector<std::string>& ForwardArguments(const LoadedModule& module) {
  return module.arguments;
}

Error* TorchRunner::Make(std::shared_ptr<LoadedModule> module, const std::string& model,
                         const TorchSettings& settings, std::unique_ptr<TorchRunner>& out) {
  SetThreads(settings);
  auto runner = std::make_unique<Runner>(std::move(module), model, settings);
  TEPAL_RETURN_IF_ERROR(runner->Prepare(model));
  out = std::move(runner);
  return nullptr;
}

}  // namespace tepal_plugin
