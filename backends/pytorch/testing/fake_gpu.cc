// Stands in for gpu.cc in a test's build of the plugin: GPUs that are not there, and a log of what
// is asked of them.
//
// "GPU memory" is ordinary memory, so that any LibTorch computes on it. Copies away from a GPU are
// made when their stream is waited for, and not before: who reads too early reads nothing.
// TEPAL_FAKE_GPUS says how many GPUs there are (2). A graph runs the model again on the inputs that
// it was captured with.

#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

#include "backends/pytorch/gpu.h"

namespace tepal_plugin {
namespace {

struct World {
  std::mutex mutex;
  std::condition_variable released;
  std::string log;
  std::map<const std::byte*, size_t> pinned;
  std::map<int, int> streams;  // How many each GPU has had.
  bool waits_held = false;

  bool IsPinned(const std::byte* address) const {
    auto found = pinned.upper_bound(address);
    if (found == pinned.begin()) return false;
    --found;
    return address < found->first + found->second;
  }
};

World& TheWorld() {
  static World world;
  return world;
}

void Write(const std::string& line) {
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().log += line + "\n";
}

}  // namespace

int GpuCount() {
  const char* count = std::getenv("TEPAL_FAKE_GPUS");
  return count == nullptr ? 2 : std::atoi(count);
}

at::Device GpuDevice(int /*ordinal*/) { return at::kCPU; }

at::Tensor PinnedBytes(size_t size) {
  const at::Tensor block = at::empty({static_cast<int64_t>(size)}, at::kByte);
  const auto forget = [block](void* start) {
    const std::lock_guard lock(TheWorld().mutex);
    TheWorld().pinned.erase(static_cast<const std::byte*>(start));
  };
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().pinned[static_cast<const std::byte*>(block.data_ptr())] = size;
  return at::from_blob(block.data_ptr(), block.sizes(), forget, at::kByte);
}

void CleanGpuCache() { Write("cache given back"); }

struct GpuStream::State {
  struct Pending {
    std::byte* to;
    const std::byte* from;
    size_t size;
  };
  std::string name;
  std::vector<Pending> away;
  bool in_use = false;
};

GpuStream::GpuStream(int ordinal) : state_(std::make_unique<State>()) {
  const std::lock_guard lock(TheWorld().mutex);
  state_->name =
      "gpu" + std::to_string(ordinal) + " stream" + std::to_string(TheWorld().streams[ordinal]++);
}
GpuStream::~GpuStream() = default;

struct GpuStream::Use::Guard {
  explicit Guard(State* the_state) : state(the_state) { state->in_use = true; }
  ~Guard() { state->in_use = false; }
  State* state;
};

GpuStream::Use::Use(GpuStream* stream) {
  if (stream != nullptr) guard_ = std::make_unique<Guard>(stream->state_.get());
}
GpuStream::Use::~Use() = default;

void GpuStream::Copy(std::byte* to, const std::byte* from, size_t size) {
  std::string what = state_->name + ": " + std::to_string(size) + " bytes";
  bool away = false;
  {
    const std::lock_guard lock(TheWorld().mutex);
    away = TheWorld().IsPinned(to);
    if (TheWorld().IsPinned(from)) what += " from staging";
    if (away) what += " to staging";
    if (!state_->in_use) what += ", while another stream is in use";
  }
  Write(what);
  if (away) {
    state_->away.push_back({to, from, size});
  } else {
    std::memcpy(to, from, size);
  }
}

void GpuStream::Wait() {
  Write(state_->name + ": wait");
  World& world = TheWorld();
  std::unique_lock lock(world.mutex);
  world.released.wait(lock, [&] { return !world.waits_held; });
  for (const State::Pending& copy : state_->away) std::memcpy(copy.to, copy.from, copy.size);
  state_->away.clear();
}

struct CapturedBatch::Graph {
  Forward forward;
};

Error* CapturedBatch::Capture(const Forward& forward, GpuStream& /*stream*/,
                              const CapturedBatch* share) {
  Write("capture " + std::to_string(rows_) + " rows" +
        (share == nullptr ? "" : " in the memory of " + std::to_string(share->rows())));
  graph_ = std::make_unique<Graph>(Graph{forward});
  return forward(inputs_, outputs_);
}

void CapturedBatch::Replay(int64_t rows, std::vector<at::Tensor>& outputs) {
  Write("replay " + std::to_string(rows_) + " rows for " + std::to_string(rows));
  std::vector<at::Tensor> results;
  TRITONSERVER_ErrorDelete(graph_->forward(inputs_, results));
  for (size_t i = 0; i < results.size(); ++i) outputs_[i].copy_(results[i]);
  CutOutputs(rows, outputs);
}

CapturedBatch::CapturedBatch(int64_t rows, std::vector<at::Tensor> inputs)
    : rows_(rows), inputs_(std::move(inputs)) {}
CapturedBatch::CapturedBatch(CapturedBatch&&) noexcept = default;
CapturedBatch& CapturedBatch::operator=(CapturedBatch&&) noexcept = default;
CapturedBatch::~CapturedBatch() = default;

}  // namespace tepal_plugin

// For the test, which finds them by name.
extern "C" {

// What was asked since the last call, a line each. Good until the next call.
__attribute__((visibility("default"))) const char* fakeGpuTakeLog() {
  static std::string taken;
  const std::lock_guard lock(tepal_plugin::TheWorld().mutex);
  taken = std::exchange(tepal_plugin::TheWorld().log, {});
  return taken.c_str();
}

// While on, nobody's wait ends.
__attribute__((visibility("default"))) void fakeGpuHoldWaits(int on) {
  tepal_plugin::World& world = tepal_plugin::TheWorld();
  const std::lock_guard lock(world.mutex);
  world.waits_held = on != 0;
  world.released.notify_all();
}

}  // extern "C"
