#include "apps/commands/refused_flags.h"

#include <initializer_list>
#include <string>
#include <vector>

namespace tepal::commands {
namespace {

constexpr char kNoTrace[] = "tracing is not built yet";
constexpr char kNoCache[] = "the response cache is not built yet";
constexpr char kNoRateLimiter[] = "the rate limiter is not built yet";
constexpr char kNoSageMaker[] = "SageMaker's endpoints are not served";
constexpr char kNoVertex[] = "Vertex AI's endpoints are not served";
constexpr char kNoGpuPools[] = "the server keeps no GPU memory pools; backends allocate their own";

struct Refusal {
  const char* name;
  const char* reason;
  std::initializer_list<const char*> harmless;  // Triton's default, in the ways to write it.
};

const Refusal kRefusals[] = {
    {"sagemaker-port", kNoSageMaker, {"8080"}},
    {"sagemaker-safe-port-range", kNoSageMaker, {""}},
    {"sagemaker-thread-count", kNoSageMaker, {"8"}},
    {"vertex-ai-port", kNoVertex, {"8080"}},
    {"vertex-ai-thread-count", kNoVertex, {"8"}},
    {"vertex-ai-default-model", kNoVertex, {""}},
    {"trace-config", kNoTrace, {"level=OFF", "mode=triton", "rate=1000", "count=-1"}},
    {"repoagent-directory", "repository agents are not loaded", {"/opt/tritonserver/repoagents"}},
    {"cache-config", kNoCache, {}},
    {"cache-directory", kNoCache, {"/opt/tritonserver/caches"}},
    {"rate-limit", kNoRateLimiter, {"off"}},
    {"rate-limit-resource", kNoRateLimiter, {}},
    {"cuda-memory-pool-byte-size", kNoGpuPools, {}},
    {"cuda-virtual-address-size", kNoGpuPools, {}},
    {"min-supported-compute-capability",
     "GPUs are not chosen by capability; give --gpus",
     {"6", "6.0"}},
    {"buffer-manager-thread-count",
     "inputs are not copied, so there is nothing to speed up",
     {"0"}},
    {"host-policy",
     "host policies are not built yet; give a CPU set by taskset or the container",
     {}},
    {"model-load-gpu-limit", "GPU memory is not watched when a model is loaded", {}},
    {"response-cache-byte-size", kNoCache, {"0"}},
    {"trace-file", kNoTrace, {""}},
    {"trace-level", kNoTrace, {"OFF"}},
    {"trace-rate", kNoTrace, {"1000"}},
    {"trace-count", kNoTrace, {"-1"}},
    {"trace-log-frequency", kNoTrace, {"0"}},
};

struct RefusedSwitch {
  const char* name;
  const char* reason;
};

// Booleans that may only be false.
const RefusedSwitch kRefusedSwitches[] = {
    {"model-namespacing", "models of one name in several namespaces are not served"},
    {"allow-sagemaker", kNoSageMaker},
    {"allow-vertex-ai", kNoVertex},
};

}  // namespace

void AddRefusedFlags(options::FlagSet& flags) {
  for (const Refusal& refusal : kRefusals) {
    flags.Refuse(refusal.name, refusal.reason, {refusal.harmless.begin(), refusal.harmless.end()});
  }
  for (const RefusedSwitch& refused : kRefusedSwitches) {
    flags.Refuse(refused.name, refused.reason, {"false", "0", "off", "no"}, true);
  }
}

}  // namespace tepal::commands
